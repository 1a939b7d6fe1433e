"""The HCL language: parse, evaluate and decode native syntax with the host's own words and positions."""
