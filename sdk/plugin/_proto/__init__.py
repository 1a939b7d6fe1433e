"""Generated from dozeplugin_v1.proto by `make proto`."""
