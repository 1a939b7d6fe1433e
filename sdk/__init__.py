"""The Python SDK and release tooling for doze engine modules."""

if __name__ == "sdk":
    raise ImportError("import this package as 'doze_sdk'")
