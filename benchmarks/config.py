"""What defining config classes costs, against the same classes as dataclasses.

python -m benchmarks.config
"""

from __future__ import annotations

import dataclasses

from doze_sdk.engine import Config, attr

from .measure import Bar, finish, interleaved, ratio, show, timed

# Type, default as attr takes it, default as a dataclass field takes it.
_FIELDS = (
    ("str", '""', '""'),
    ("bool | None", "None", "None"),
    ("int", "1", "1"),
    ("list[str]", "[]", "dataclasses.field(default_factory=list)"),
    ("dict[str, str]", "{}", "dataclasses.field(default_factory=dict)"),
    ("str | None", "None", "None"),
    ("float", "1.0", "1.0"),
    ("int | None", "-1", "-1"),
    ("str", '"16MB"', '"16MB"'),
    ("bool", "False", "False"),
)
_NAMES: dict[str, object] = {"dataclasses": dataclasses, "Config": Config, "attr": attr, "__name__": __name__}


def five_classes(header: str, column: int) -> str:
    """Return the source of five classes of ten fields."""
    fields = [
        f"    field_{number}: {field[0]} = " + (f"attr({field[1]}, doc='A field.')" if column == 1 else field[2])
        for number, field in enumerate(_FIELDS)
    ]
    classes = ["\n".join([header.format(f"Class{number}"), *fields]) for number in range(5)]
    return "from __future__ import annotations\n" + "\n".join(classes)


def main() -> None:
    """Measure and compare."""
    sources = {
        "five config classes of ten fields": five_classes("class {}(Config):", 1),
        "the same as frozen dataclasses": five_classes("@dataclasses.dataclass(frozen=True)\nclass {}:", 2),
    }
    codes = {name: compile(source, name, "exec") for name, source in sources.items()}
    cases = {name: lambda code=code: timed(lambda: exec(code, dict(_NAMES))) for name, code in codes.items()}
    results = interleaved(cases, rounds=100, warmup=3)
    show(results)
    finish([Bar("building config classes / dataclasses", ratio(results, *sources), 2.0)])


if __name__ == "__main__":
    main()
