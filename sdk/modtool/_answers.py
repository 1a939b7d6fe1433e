"""What the template asks, what it takes for an answer, and what it says to the rest.

The template's hook has the same rules, because plain cookiecutter runs without this package; a test holds them equal.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, TypedDict

from ..engine import name_problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

QUESTIONS = ("name", "namespace", "description", "author", "licence")
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)
_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}
_BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Defaults(TypedDict):
    """The part of cookiecutter.json that `modtool new` reads."""

    namespace: str
    description: str
    author: str
    licence: list[str]


def defaults(template: Path) -> Defaults:
    """Return the answers that the template itself suggests; `author` has the name still to be filled in."""
    answers: Defaults = json.loads((template / "cookiecutter.json").read_text(encoding="utf-8"))
    return answers


def namespace_problem(namespace: str) -> str:
    """Return what is wrong with *namespace* as a namespace of the registry, or the empty text."""
    if _NAMESPACE.fullmatch(namespace):
        return ""
    suggestion = re.sub(r"[^a-z0-9-]+", "-", namespace.lower()).strip("-")
    hint = f" (did you mean {suggestion!r}?)" if suggestion else ""
    return f"expected [a-z0-9][a-z0-9-]*, got {namespace!r}{hint}"


def text_problem(text: str) -> str:
    """Return what is wrong with *text* as one line of a TOML file and of a Python source, or the empty text."""
    if not text.strip():
        return "expected a line of text, got an empty one"
    for character in text:
        if unicodedata.category(character) in _CONTROLS or character in _BIDIRECTIONAL:
            return f"expected one line of text, got the character {character!a} in it"
    return ""


def problem(question: str, answer: str) -> str:
    """Return what is wrong with *answer*, or the empty text."""
    rules = {"name": name_problem, "namespace": namespace_problem}
    return rules.get(question, text_problem)(answer)


def problems(answers: Mapping[str, str]) -> list[str]:
    """Return everything that is wrong with *answers*, each with its question in front."""
    found = [(question, problem(question, answer)) for question, answer in answers.items()]
    return [f"{question}: {text}" for question, text in found if text]
