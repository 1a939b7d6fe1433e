"""The host's functions on strings."""

from __future__ import annotations

import re
from typing import Final

from ._function_errors import ArgumentError, FunctionError
from ._number import Fraction, Index, Infinity, Number
from ._scan import SPACES
from ._text import normalize, quote
from ._types import STRING, ObjectOf
from ._values import ListValue, Null, Value


def whole(number: Number, place: int | None, prefix: str = "") -> int:
    """A number as one of the host's integers. Raises ArgumentError, or FunctionError if no place is given."""
    if isinstance(number, Fraction | Infinity) or not -(1 << 63) <= number < 1 << 63:
        message = f"{prefix}value must be a whole number, between {-(1 << 63)} and {(1 << 63) - 1}"
        raise FunctionError(message) if place is None else ArgumentError(place, message)
    return int(number)


# Letters: one character stays one, as in Go's simple case mappings


def _upper(character: str) -> str:
    for mapped in (character.upper(), character.title()):
        if len(mapped) == 1:
            return mapped
    return character


def upper(text: str) -> Value:
    return normalize("".join(map(_upper, text)))


def lower(text: str) -> Value:
    return normalize("".join(character.lower()[0] for character in text))


def title(text: str) -> Value:
    result = []
    starts_word = True
    for character in text:
        if starts_word:
            titled = character.title()
            character = titled if len(titled) == 1 else character  # noqa: PLW2901 - the letter in its new form
        result.append(character)
        starts_word = _separates(character)
    return normalize("".join(result))


def _separates(character: str) -> bool:
    if character.isalnum() or character == "_":
        return False
    return character.isascii() or character in SPACES


def trim(text: str, cutset: str) -> Value:
    return normalize(text.strip(cutset)) if cutset else text


def trimspace(text: str) -> Value:
    return normalize(text.strip(SPACES))


def trimprefix(text: str, prefix: str) -> Value:
    return normalize(text.removeprefix(prefix))


def trimsuffix(text: str, suffix: str) -> Value:
    return normalize(text.removesuffix(suffix))


def chomp(text: str) -> Value:
    return text.rstrip("\r\n")


def replace(text: str, old: str, new: str) -> Value:
    return normalize(text.replace(old, new))


def indent(spaces: Number, text: str) -> Value:
    return text.replace("\n", "\n" + " " * max(whole(spaces, 0), 0))


def split(separator: str, text: str) -> Value:
    parts = text.split(separator) if separator else list(text)
    return ListValue(STRING, map(normalize, parts))


def join(separator: str, *lists: ListValue) -> Value:
    if not lists:
        raise FunctionError("at least one list is required")
    texts = []
    for place, values in enumerate(lists):
        for index, value in enumerate(values):
            if not isinstance(value, str):
                # Of several lists, the message names the one as well.
                which = f"element {index}" if len(lists) == 1 else f"element {index} of list {place + 1}"
                raise ArgumentError(place + 1, f"{which} is null; cannot concatenate null values")
            texts.append(value)
    return normalize(separator.join(texts))


# Characters as a reader counts them


def _clusters(text: str) -> list[str]:
    if text.isascii() and "\r" not in text:
        return list(text)
    from ._unicode import cluster_starts

    starts = cluster_starts(text, 0, len(text), 0)
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def strlen(text: str) -> Value:
    return Index(len(_clusters(text)))


def substr(text: str, offset: Number, length: Number) -> Value:
    clusters = _clusters(text)
    start, count = whole(offset, 1), whole(length, 2)
    if start < 0:
        start = max(start + len(clusters), 0)
    end = len(clusters) if count < 0 else start + count
    return normalize("".join(clusters[start:end]))


# Regular expressions


def regex(pattern: str, text: str) -> Value:
    from ._re2 import RE2Error, compile_re2

    try:
        expression = compile_re2(pattern)
    except RE2Error as error:
        raise ArgumentError(0, f"invalid regexp pattern: {error.reason} in {error.part}") from None
    names = expression.names
    if any(names) and not all(names):
        message = "invalid regexp pattern: cannot mix both named and unnamed capture groups"
        raise ArgumentError(0, message)
    found = expression.search(text)
    if found is None:
        raise FunctionError("pattern did not match any part of the given string")
    groups = map(_group, found.groups())
    if any(names):
        return {str(name): group for name, group in zip(names, groups, strict=True)}
    return tuple(groups) if names else normalize(found[0])


def _group(text: str | None) -> Value:
    return Null(STRING) if text is None else normalize(text)


# CSV


def csvdecode(text: str) -> Value:
    records = _records(text)
    if not records:
        raise FunctionError("missing header line")
    header = records[0][1]
    for place, name in enumerate(header):
        if name in header[:place]:
            raise FunctionError(f"duplicate column name {quote(name)}")
    rows: list[Value] = []
    for line, fields in records[1:]:
        if len(fields) != len(header):
            raise FunctionError(f"CSV parse error on line {line}: wrong number of fields")
        rows.append({name: normalize(field) for name, field in zip(header, fields, strict=True)})
    return ListValue(ObjectOf(dict.fromkeys(header, STRING)), rows)


_FIELD: Final = re.compile(r'"(?P<quoted>(?:[^"]|"")*)"(?P<closed>,|\n|\Z)|(?P<plain>[^",\n]*)(?P<ended>,|\n|\Z)')


def _records(text: str) -> list[tuple[int, list[str]]]:
    """The lines with their numbers and fields, empty lines left out."""
    text = text.replace("\r\n", "\n")
    records: list[tuple[int, list[str]]] = []
    at, line = 0, 1
    while at < len(text):
        if text[at] == "\n":
            at += 1
            line += 1
            continue
        fields: list[str] = []
        first = line
        end = ","
        while end == ",":
            found = _FIELD.match(text, at)
            if found is None:
                problem = 'extraneous or missing " in quoted-field' if text[at] == '"' else 'bare " in non-quoted field'
                raise FunctionError(f"CSV parse error on line {line}: {problem}")
            quoted = found["quoted"]
            fields.append(found["plain"] if quoted is None else quoted.replace('""', '"'))
            end = found["ended"] if quoted is None else found["closed"]
            line += found[0].count("\n")
            at = found.end()
        records.append((first, fields))
    return records
