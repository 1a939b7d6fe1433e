"""The release tool: a library, with the command line `modtool` on top.

from doze_sdk.modtool import new_project

folder = new_project("httpd", namespace="acme", output=Path("modules"))
"""

from __future__ import annotations

from .._lazy import exports

_HOME = {
    "LICENCES": "._project",
    "ModtoolError": "._errors",
    "UsageError": "._errors",
    "new_project": "._project",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the table is the list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._errors import ModtoolError as ModtoolError, UsageError as UsageError
    from ._project import LICENCES as LICENCES, new_project as new_project

__getattr__, __dir__ = exports(__name__, _HOME)
