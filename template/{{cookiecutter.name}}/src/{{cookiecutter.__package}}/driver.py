"""What doze needs to know about {{ cookiecutter.name }}."""

from pathlib import Path
{% from "literals.jinja" import python with context %}
from doze_sdk import engine
from doze_sdk.plugin import self_command

from .config import Settings

# A complete block that boots anywhere: the tests and `modtool check` boot it.
EXAMPLE = """\
{{ cookiecutter.name }} "site" {
  port = 8080
  root = "."

  header "Cache-Control" {
    value = "no-store"
  }
}
"""


class Driver(engine.Driver[Settings], engine.Versionless, engine.Describer):
    """One object without state serves every instance.

    What else an engine can do (converge roles or queues, clone a template, report its health, …) is a class of
    doze_sdk.engine to mix in. An engine with versions is not Versionless and lists them in its description.
    """

    type = "{{ cookiecutter.name }}"
    config = Settings

    def resolve(
        self, spec: engine.Version, platform: engine.Platform, lock: engine.Lock, mirror: engine.Mirror
    ) -> engine.Toolchain:
        """The engine is this very program. One that is downloaded is found by `engine.resolve_via`."""
        return engine.Toolchain(engine=self.type)

    def provision(self, instance: engine.Instance[Settings], toolchain: engine.Toolchain) -> None:
        """Called on every cold boot, so existing data stays as it is."""
        root = instance.spec.root
        if not root.is_dir():
            raise engine.EngineError(f"root: {root} is no folder; create it or name another one")
        for folder in (instance.data_dir, instance.socket_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def provisioned(self, data_dir: Path) -> bool:
        """This engine keeps no data; for one that does, look for what its first start leaves behind."""
        return data_dir.is_dir()

    def plan(self, instance: engine.Instance[Settings], toolchain: engine.Toolchain) -> engine.SpawnPlan:
        """For a downloaded engine `bin` is `toolchain.path("…")`."""
        spec = instance.spec
        socket = self.backend_socket(instance.socket_dir, instance.port)
        arguments = ["--socket", str(socket), "--root", str(spec.root)]
        if spec.listing:
            arguments.append("--listing")
        for header in spec.header:
            arguments += ["--header", header.name, header.value]
        program, args = self_command("__serve", *arguments, package=__package__)
        ready = engine.Ready(kind="socket", target=str(socket))
        return engine.SpawnPlan.single(engine.SpawnSpec(name=self.type, bin=program, args=args, ready=ready))

    def backend_socket(self, socket_dir: Path, port: int) -> Path:
        """The host's proxy connects here; the name is short because a socket's path may have 107 bytes."""
        return socket_dir / "http.sock"

    def conn_string(self, instance: engine.Instance[Settings], endpoint: engine.Endpoint) -> engine.ConnString:
        """The host replaces `endpoint.tcp_addr` in the URL, so it stands there as it came."""
        if not endpoint.tcp_addr:
            return engine.ConnString()
        return engine.ConnString(env_var=f"{self.type.upper()}_URL", url=f"http://{endpoint.tcp_addr}")

    def describe(self) -> engine.Description:
        """The module's page. Its table of arguments comes from Settings."""
        return engine.Description(
            title="{{ cookiecutter.name }}",
            tagline={{ python(cookiecutter.description) }},
            category="server",
            description="Serves the files of a folder, one instance per block, asleep until something connects.",
            port=8080,
            example=EXAMPLE,
            example_label="site",
            source="{{ cookiecutter.namespace }}/{{ cookiecutter.name }}",
        )
