from doze_sdk.plugin import serve

if __name__ == "__main__":
    serve("tests.modules.everything.driver:Everything", modes={"__exit": "tests.modules.everything.driver:leave"})
