import sys

from doze_sdk.enginetest import violations
{% from "literals.jinja" import import_from with context %}
{{ import_from("driver", "Driver") }}


def test_the_module_keeps_the_contract() -> None:
    """What `modtool check` checks: the plugin is started as doze starts it, and everything that is wrong is listed."""
    package = Driver.__module__.partition(".")[0]
    assert violations([sys.executable, "-m", package], name=Driver.type) == []
