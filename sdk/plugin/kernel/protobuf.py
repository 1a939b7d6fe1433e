"""Generated protobuf modules in a pool of their own.

A module that protoc has generated puts its file, its package and its messages into protobuf's one global pool. Two
contracts that both have a ``kv.proto`` cannot live in one process that way, although nothing on the wire forbids it:
file names and, for messages alone, packages are local matters. `load` gives each contract a pool of its own::

    from doze_sdk.plugin.kernel import protobuf

    kv_pb2, kv_pb2_grpc = protobuf.load("kv_pb2", "kv_pb2_grpc", folder="contracts/acme")
    other_pb2, other_pb2_grpc = protobuf.load("kv_pb2", "kv_pb2_grpc", folder="contracts/umbrella")

What such a module imports from other generated modules, protobuf's own well-known types included, is loaded into the
same pool. Messages of two pools are different classes, so take ``Timestamp`` and the like from the pool that uses it::

    kv_pb2, timestamp_pb2 = protobuf.load("kv_pb2", "google.protobuf.timestamp_pb2", folder="contracts/acme")
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
from types import ModuleType, SimpleNamespace

from google.protobuf import descriptor_pool

from ._errors import PluginError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["load"]

_GENERATED = ("_pb2", "_pb2_grpc")


def load(*names: str, folder: str | os.PathLike[str] | None = None) -> tuple[ModuleType, ...]:
    """Load generated modules, and all generated modules that they import, into a new pool.

    The modules do not appear in ``sys.modules``; each call loads them afresh.

    Args:
        names: Dotted names of ``…_pb2`` and ``…_pb2_grpc`` modules, as the generated code itself would import them.
        folder: Where protoc's ``--python_out`` pointed. Default: the modules are found as by ``import``.

    Raises:
        PluginError: A module cannot be found, or is no generated one.
    """
    space = _Space(None if folder is None else os.fspath(folder))
    return tuple(space.load(name) for name in names)


class _Space:
    """One pool, and the modules that were loaded into it."""

    def __init__(self, folder: str | None) -> None:
        self._folder = folder
        self._pool = descriptor_pool.DescriptorPool()
        self._modules: dict[str, ModuleType] = {}

    def load(self, name: str) -> ModuleType:
        if name in self._modules:
            return self._modules[name]
        if not name.endswith(_GENERATED):
            raise PluginError(f"cannot load {name!r} into a pool: expected a generated module, …_pb2 or …_pb2_grpc")
        spec = self._find(name)
        code = spec.loader.get_code(name) if isinstance(spec.loader, importlib.machinery.SourceFileLoader) else None
        if code is None:
            raise PluginError(f"cannot load {name!r} into a pool: {spec.origin!r} has no Python source")
        module = importlib.util.module_from_spec(spec)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": self._import}
        self._modules[name] = module
        exec(code, vars(module))  # noqa: S102  (what an import does)
        return module

    def _find(self, name: str) -> importlib.machinery.ModuleSpec:
        places: Sequence[str] | None = None if self._folder is None or name.startswith("google.") else [self._folder]
        spec = None
        if all(name.split(".")):
            with contextlib.suppress(ModuleNotFoundError):  # a package on the way
                spec = importlib.util.find_spec(name) if places is None else _find_below(name, places)
        if spec is None:
            where = "among the modules that can be imported" if places is None else f"below {places[0]!r}"
            raise PluginError(f"cannot load {name!r} into a pool: there is no such module {where}; run protoc first")
        return spec

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002  (the names of __import__)
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> object:
        """Stand in for ``__import__`` in generated code: what has to do with pools is private, the rest is not."""
        if level and globals is not None:
            package = str(globals["__package__"])
            name = importlib.util.resolve_name("." * level + name, package)
        if fromlist and any(f"{name}.{item}".endswith(_GENERATED) or item == "descriptor_pool" for item in fromlist):
            return SimpleNamespace(**{item: self._import_from(name, item) for item in fromlist})
        if name.endswith(_GENERATED):
            module = self.load(name)
            return module if fromlist else _rooted(name, module)
        if name == "importlib":  # for a folder that is called like a keyword, `async.common_pb2`
            return SimpleNamespace(import_module=self._import_module)
        return builtins.__import__(name, globals, locals, fromlist)

    def _import_module(self, name: str) -> ModuleType:
        return self.load(name) if name.endswith(_GENERATED) else importlib.import_module(name)

    def _import_from(self, package: str, item: str) -> object:
        if item.endswith(_GENERATED):
            return self.load(f"{package}.{item}")
        if (package, item) == ("google.protobuf", "descriptor_pool"):
            return SimpleNamespace(Default=lambda: self._pool)
        return getattr(builtins.__import__(package, fromlist=[item]), item)


def _find_below(name: str, places: Sequence[str]) -> importlib.machinery.ModuleSpec | None:
    *packages, _ = name.split(".")
    importlib.invalidate_caches()
    places = [os.path.join(place, *packages) for place in places]  # noqa: PTH118  (entries of a search path)
    return importlib.machinery.PathFinder.find_spec(name, places)


def _rooted(name: str, module: ModuleType) -> object:
    """What ``import a.b.c`` binds: something called ``a`` in which ``b.c`` can be found."""
    value: object = module
    for part in reversed(name.split(".")[1:]):
        value = SimpleNamespace(**{part: value})
    return value
