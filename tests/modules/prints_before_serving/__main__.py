from doze_sdk.plugin import serve

if __name__ == "__main__":
    print("loading config", flush=True)
    serve("tests.modules.everything.driver:Everything")
