import os

from doze_sdk.plugin import serve

if __name__ == "__main__":
    serve(f"tests.modules.flawed.drivers:{os.environ['FLAW']}")
