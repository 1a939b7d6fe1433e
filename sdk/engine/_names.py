"""Which names a module may have."""

from __future__ import annotations

import re

RESERVED_TYPES = frozenset(
    "process use aws defaults tls modules variable locals output var local each count projects cache".split()
)
"""What the host keeps: block keywords, roots of variables, folders in its home. No engine has these names."""

CORE_ARGUMENTS = frozenset("count for_each depends_on enabled version listen port".split())
"""The host's own arguments in an engine's block: a module never sees them. Nested blocks may use the names."""

_TYPE = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


def name_problem(name: str) -> str:
    """Return what is wrong with *name* as an engine type, or the empty text.

    The host maps the type to the variable ``DOZE_<TYPE>_PLUGIN`` by upper-casing alone, so a dash could never be set.
    """
    if name in RESERVED_TYPES:
        return f"{name!r} is reserved by the host"
    if _TYPE.fullmatch(name):
        return ""
    suggestion = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")
    hint = (
        f" (did you mean {suggestion!r}?)" if _TYPE.fullmatch(suggestion) and suggestion not in RESERVED_TYPES else ""
    )
    return f"expected [a-z][a-z0-9_]*, got {name!r}{hint}"
