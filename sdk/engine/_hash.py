"""Short hashes of definitions, equal to those of the Go SDK."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import PurePath

from ._errors import EngineError

_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}

# Bytes that were no UTF-8. Go writes the escape of the replacement character for each.
_SURROGATE = re.compile("[\ud800-\udfff]")


def hash_of(value: object) -> str:
    """Return 12 hexadecimal digits that change when *value* does, for `Object.hash`.

    They are the Go SDK's for the same value: the head of the sha256 of its compact JSON with Go's escapes. Mappings
    are sorted by key; dataclasses and config classes keep the order of their fields; bytes become base64, durations
    nanoseconds, paths texts.

    Raises:
        EngineError: *value* contains something that has no such form (a set, an object, NaN, itself).

    """
    try:
        text = _json(value)
    except RecursionError:
        raise EngineError("hashing a definition: it is nested too deep, or contains itself") from None
    except ValueError as error:  # Python prints whole numbers of up to 4,300 digits
        raise EngineError(f"hashing a definition: {error}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _json(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _SURROGATE.sub(r"\\ufffd", json.dumps(value, ensure_ascii=False).translate(_ESCAPES))
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, bytes | bytearray):
        return json.dumps(base64.b64encode(value).decode())
    if isinstance(value, timedelta):
        return str(value // timedelta(microseconds=1) * 1000)
    if isinstance(value, PurePath):
        return _json(str(value))
    if isinstance(value, Enum):
        return _json(value.value)
    return _compound(value)


def _compound(value: object) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    elif isinstance(value, Mapping):
        pairs = sorted(((_key(key), item) for key, item in value.items()), key=_sorted_as_bytes)
    elif isinstance(value, Sequence):
        return "[" + ",".join(_json(item) for item in value) + "]"
    else:
        raise EngineError(f"hashing a definition: {type(value).__name__} has no stable form; got {value!r}")
    return "{" + ",".join(f"{_json(key)}:{_json(item)}" for key, item in pairs) + "}"


def _key(key: object) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, int) and not isinstance(key, bool):
        return str(int(key))
    raise EngineError(f"hashing a definition: a mapping's keys must be texts or whole numbers; got {key!r}")


def _sorted_as_bytes(pair: tuple[str, object]) -> bytes:
    return pair[0].encode("utf-8", "surrogatepass")


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise EngineError(f"hashing a definition: {value!r} has no JSON form")
    digits, _, exponent = repr(value).partition("e")
    if not exponent:
        return digits.removesuffix(".0")
    # Python writes an exponent below 1e-4 and from 1e16 on, Go below 1e-6 and from 1e21 on, without a leading zero.
    if not 1e-6 <= abs(value) < 1e21:
        return f"{digits}e{int(exponent):+d}"
    whole, _, fraction = digits.partition(".")
    zeros = int(exponent) - len(fraction)
    # Beyond the shortest digits that tell the number from its neighbours come zeros, not its exact decimals.
    return f"{whole}{fraction}{'0' * zeros}" if zeros >= 0 else f"{value:.{-zeros}f}"
