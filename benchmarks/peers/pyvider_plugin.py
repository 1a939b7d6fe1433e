"""The same plugin on pyvider-rpcplugin."""

import asyncio
import os

os.environ.setdefault("PLUGIN_AUTO_MTLS", "false")

from pyvider.rpcplugin import configure, create_basic_protocol, plugin_server

configure(magic_cookie_key="DOZE_PLUGIN", magic_cookie_value="engine", protocol_version=1, transports=["unix"])


async def main() -> None:
    await plugin_server(protocol=create_basic_protocol()(), handler=object()).serve()


asyncio.run(main())
