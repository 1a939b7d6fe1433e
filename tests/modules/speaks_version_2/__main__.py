from doze_sdk.plugin import HANDSHAKE, kernel

if __name__ == "__main__":
    kernel.serve(HANDSHAKE, versions={2: lambda _server, _broker: None})
