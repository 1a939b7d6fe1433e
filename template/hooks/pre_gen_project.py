"""Refuse answers that cannot become a module, each with its reason.

doze-sdk need not be installed here, so the rules stand here too; the tests of doze-sdk hold them equal to its own.
"""

import json
import re
import sys
import unicodedata

RESERVED_TYPES = frozenset(
    "process use aws defaults tls modules variable locals output var local each count projects cache".split()
)
CONTROLS = {"Cc", "Cs", "Zl", "Zp"}  # Unicode categories that have no place in TOML
BIDIRECTIONAL = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # readers would see another source than Python


def name_problem(name):
    if name in RESERVED_TYPES:
        return f"{name!r} is reserved by the host"
    if re.fullmatch(r"[a-z][a-z0-9_]*", name, re.ASCII):
        return ""
    suggestion = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")
    fits = re.fullmatch(r"[a-z][a-z0-9_]*", suggestion, re.ASCII) and suggestion not in RESERVED_TYPES
    hint = f" (did you mean {suggestion!r}?)" if fits else ""
    return f"expected [a-z][a-z0-9_]*, got {name!r}{hint}"


def namespace_problem(namespace):
    if re.fullmatch(r"[a-z0-9][a-z0-9-]*", namespace, re.ASCII):
        return ""
    suggestion = re.sub(r"[^a-z0-9-]+", "-", namespace.lower()).strip("-")
    hint = f" (did you mean {suggestion!r}?)" if suggestion else ""
    return f"expected [a-z0-9][a-z0-9-]*, got {namespace!r}{hint}"


def text_problem(text):
    if not text.strip():
        return "expected a line of text, got an empty one"
    for character in text:
        if unicodedata.category(character) in CONTROLS or character in BIDIRECTIONAL:
            return f"expected one line of text, got the character {character!a} in it"
    return ""


def problems(answers):
    rules = {
        "name": name_problem,
        "namespace": namespace_problem,
        "description": text_problem,
        "author": text_problem,
    }
    found = [(key, rule(answers[key])) for key, rule in rules.items()]
    return [f"{key}: {problem}" for key, problem in found if problem]


if __name__ == "__main__":
    refused = problems(json.loads(r'''{{ cookiecutter | tojson }}'''))
    if refused:
        sys.exit("\n".join(refused))
