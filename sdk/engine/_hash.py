"""Short hashes of definitions, equal to those of the Go SDK."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence

from ._errors import EngineError

_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def hash_of(value: object) -> str:
    """Return 12 hexadecimal digits that change when *value* does, for `Object.hash`.

    They are the Go SDK's for the same value: the head of the sha256 of its compact JSON with Go's escapes. Mappings
    are sorted by key, dataclasses keep the order of their fields, bytes become base64.

    Raises:
        EngineError: *value* contains something that has no such form (a set, an object, NaN).

    """
    return hashlib.sha256(_json(value).encode()).hexdigest()[:12]


def _json(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).translate(_ESCAPES)
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, bytes | bytearray):
        return json.dumps(base64.b64encode(value).decode())
    return _compound(value)


def _compound(value: object) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif isinstance(value, Mapping):
        pairs = sorted(((str(key), item) for key, item in value.items()), key=lambda pair: pair[0].encode())
    elif isinstance(value, Sequence):
        return "[" + ",".join(_json(item) for item in value) + "]"
    else:
        raise EngineError(f"hashing a definition: {type(value).__name__} has no stable form; got {value!r}")
    return "{" + ",".join(f"{_json(key)}:{_json(item)}" for key, item in pairs) + "}"


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise EngineError(f"hashing a definition: {value!r} has no JSON form")
    digits, _, exponent = repr(value).partition("e")
    if not exponent:
        return digits.removesuffix(".0")
    # Python writes an exponent below 1e-4 and from 1e16 on, Go below 1e-6 and from 1e21 on, without a leading zero.
    if 1e-6 <= abs(value) < 1e21:
        places = max(0, len(digits.partition(".")[2]) - int(exponent))
        return f"{value:.{places}f}"
    return f"{digits}e{int(exponent):+d}"
