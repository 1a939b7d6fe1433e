"""Where a module's driver is: the `"package.module:Class"` that `serve` takes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, get_args, get_origin

from ..engine import ConfigDecoder, Driver, DriverError
from ._failure import describe_failure

if TYPE_CHECKING:
    from typing import TypeAlias

AnyDriver: TypeAlias = "Driver[object]"


def load_driver(entry: object) -> AnyDriver:
    """Import and construct the driver that *entry* names: ``"package.module:Class"``, a class, or a driver itself.

    Raises:
        DriverError: it cannot be imported, is not there, is no `Driver`, is abstract, its config is no config class, or
            its spec cannot be serialised. The text has the author's file and line.

    """
    target = _imported(entry) if isinstance(entry, str) else entry
    driver = _constructed(target, entry) if isinstance(target, type) else target
    if not isinstance(driver, Driver):
        raise DriverError(f"driver {entry!r}: expected a Driver, got {type(driver).__name__}")
    if not hasattr(driver, "type"):
        raise DriverError(
            f'driver {_named(entry)}: it has no type; give the class a `type = "…"`, the block\'s keyword'
        )
    _check_spec(driver, entry)
    return driver


def package_of(driver: object) -> str:
    """Return the name of the package that is run, with ``python -m``, to serve the driver."""
    return runnable_package(type(driver).__module__)


def runnable_package(name: str) -> str:
    """Return *name* or the nearest package around it that has a `__main__`; the outermost one if none has."""
    from importlib.util import find_spec

    while "." in name:
        try:
            if find_spec(f"{name}.__main__") is not None:
                break
        except ModuleNotFoundError:  # a module is no package
            pass
        name = name.rpartition(".")[0]
    return name


def package_root(entry: object) -> str | None:
    """Return the folder of the top-level package that the driver lives in, or None when it is a lone file."""
    module = entry.partition(":")[0] if isinstance(entry, str) else type(entry).__module__
    package = sys.modules.get(module.partition(".")[0])
    paths = getattr(package, "__path__", None)
    return os.path.abspath(next(iter(paths))) if paths else None  # noqa: PTH100 - see _failure


def _imported(entry: str) -> object:
    module_name, colon, attribute = entry.partition(":")
    if not (module_name and colon and attribute):
        raise DriverError(f'driver {entry!r}: expected "package.module:Class"')
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing runs the author's code, which may raise anything
        raise DriverError(
            f"driver {entry} cannot be imported: {describe_failure(error, package_root(entry))}"
        ) from error
    try:
        value: object = getattr(module, attribute)
    except AttributeError:
        raise DriverError(
            f"driver {entry}: module {module_name!r} has no {attribute!r}{_near(attribute, module)}"
        ) from None
    return value


def _near(attribute: str, module: object) -> str:
    import difflib

    close = difflib.get_close_matches(attribute, vars(module), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _constructed(target: type[object], entry: object) -> object:
    if not issubclass(target, Driver):
        raise DriverError(f"driver {_named(entry)} is no subclass of doze_sdk.engine.Driver")
    missing = sorted(getattr(target, "__abstractmethods__", ()))
    if missing:
        raise DriverError(f"driver {_named(entry)} lacks {', '.join(f'{name}()' for name in missing)}")
    try:
        return target()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the author's constructor may raise anything
        root = package_root(entry)
        raise DriverError(f"driver {_named(entry)} cannot be constructed: {describe_failure(error, root)}") from error


def _check_spec(driver: AnyDriver, entry: object) -> None:
    from ..engine import Config, SpecError, check_spec_type

    config: object = driver.config
    if config is not None and not (isinstance(config, type) and issubclass(config, Config)):
        raise DriverError(f"driver {_named(entry)}: config: expected a subclass of Config, got {config!r}")
    if not isinstance(driver, ConfigDecoder):
        spec = _config_by_annotation(type(driver)) if config is None else None
        if spec is not None:
            raise DriverError(
                f"driver {_named(entry)}: a Driver[{spec.__name__}] without a config decodes nothing; "
                f"add `config = {spec.__name__}` to the class"
            )
        return
    spec_type = getattr(driver, "spec_type", None)
    if spec_type is None:
        raise DriverError(
            f"driver {_named(entry)} decodes by hand and names no spec_type; set it to the class it returns"
        )
    try:
        check_spec_type(spec_type)
    except SpecError as error:
        raise DriverError(f"driver {_named(entry)}: {error}") from None


def _config_by_annotation(driver: type[object]) -> type[object] | None:
    """Return the config class in the ``Driver[…]`` that *driver* derives from, if it is one."""
    from ..engine import Config

    bases = (base for cls in driver.__mro__ for base in cls.__dict__.get("__orig_bases__", ()))
    arguments = (argument for base in bases if get_origin(base) is Driver for argument in get_args(base))
    return next((a for a in arguments if isinstance(a, type) and issubclass(a, Config)), None)


def _named(entry: object) -> str:
    if isinstance(entry, str):
        return entry
    target = entry if isinstance(entry, type) else type(entry)
    return f"{target.__module__}:{target.__qualname__}"
