from doze_sdk.plugin import serve

if __name__ == "__main__":
    serve("tests.modules.greeter.driver:Greeter", modes={"__serve": "tests.modules.greeter.server:main"})
