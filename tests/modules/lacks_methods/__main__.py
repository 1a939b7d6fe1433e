from doze_sdk.plugin import serve

if __name__ == "__main__":
    serve("tests.modules.lacks_methods.driver:Driver")
