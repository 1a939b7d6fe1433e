"""The key/value plugin of go-plugin's gRPC example: the same on the wire, so that either half may be the Go one."""

from doze_sdk.plugin import kernel

HANDSHAKE = kernel.Handshake(cookie_key="BASIC_PLUGIN", cookie_value="hello")
VERSION = 1
