"""From the template to an answered request: `make demo`.

Generates a module, launches it as a plugin process, shows what its block decodes to, boots its engine, asks it for a
page, and makes sure that nothing is left.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from doze_sdk.engine import DecodeRequest, Version
from doze_sdk.plugin import launch

PAGE = "import os, urllib.request as request; print(request.urlopen(os.environ['HELLO_URL']).read().decode().strip())"


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def modtool(*arguments: str, cwd: Path) -> None:
    subprocess.run([Path(sys.executable).with_name("modtool"), *arguments], cwd=cwd, check=True)


def show_decoded(project: Path) -> None:
    """Launch the plugin, have it decode the example, and print the spec."""
    config = project / "examples" / "doze.hcl"
    env = {"PYTHONPATH": str(project / "src"), "DOZE_HOME": str(project / "home")}
    with launch([sys.executable, "-m", "hello_plugin"], env=env) as plugin:
        request = DecodeRequest(
            file=config.read_bytes(),
            filename=str(config),
            block_type="hello",
            block_label="site",
            base_dir=config.parent,
            version=Version("builtin"),
        )
        print(f"plugin {plugin.type!r}, process {plugin.plugin.pid}, offers {', '.join(sorted(plugin.advertised))}")
        print(plugin.decode(request).decode())


def take_free_port(config: Path) -> None:
    """Give the example a port that nobody has: 8080 is a popular one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config.write_text(config.read_text().replace("port = 8080", f"port = {port}"))


def left_over(folder: Path) -> list[str]:
    """Return processes and sockets that still have to do with *folder*, the temporary folder of all of them."""
    found = [str(path) for path in folder.rglob("*") if path.is_socket()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue  # gone, or somebody else's
        if int(process.name) != os.getpid() and (str(folder) in text or str(folder) in environment):
            found.append(f"process {process.name}: {text}")
    return found


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="demo", dir="/tmp") as folder:
        work = Path(folder)
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        say("modtool new hello")
        modtool("new", "hello", "--no-input", cwd=work)
        take_free_port(work / "hello" / "examples" / "doze.hcl")
        say("the example's block, decoded by the plugin")
        show_decoded(work / "hello")
        say("modtool dev -- fetch the page")
        modtool("dev", "--home", str(work / "home"), "--", sys.executable, "-c", PAGE, cwd=work / "hello")
        say("what is left of it")
        found = left_over(work)
        print("\n".join(found) if found else "no process and no socket")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
