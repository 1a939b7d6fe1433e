from doze_sdk.plugin import serve

if __name__ == "__main__":
    serve("tests.modules.cannot_import.driver:Driver")
