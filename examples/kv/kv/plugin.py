"""The plugin's process: `python -m kv.plugin`, started by a host."""

from doze_sdk.plugin import kernel

from . import HANDSHAKE, VERSION


def main() -> None:
    kernel.serve(HANDSHAKE, versions={VERSION: "kv.service:register"})


if __name__ == "__main__":
    main()
