"""What `modtool dev` says of a config before it asks the plugin anything, and in which order it would boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from doze_sdk.modtool import ModtoolError
from doze_sdk.modtool._stack import Stack, read_stack


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(config: str, *, versionless: bool = True) -> Stack:
    Path("doze.hcl").write_text(config)
    return read_stack(Path("doze.hcl"), "httpd", versionless=versionless)


def said(config: str, *, versionless: bool = True) -> list[str]:
    """Return the first line of every problem, in source order."""
    problems = sorted(read(config, versionless=versionless).problems)
    return [problem.text.splitlines()[0].removeprefix("doze.hcl:") for problem in problems]


def block(*lines: str, name: str = "a") -> str:
    inside = "".join(f"  {line}\n" for line in lines)
    return f'httpd "{name}" {{\n{inside}}}\n'


# -- the arguments of the host


@pytest.mark.parametrize("versionless", [True, False])
@pytest.mark.parametrize(("version", "shown"), [("null", "null"), ("tostring(null)", "null"), ("[1]", "[1]")])
def test_a_version_that_is_no_text_is_refused_with_its_position(version: str, shown: str, versionless: bool) -> None:
    end = 13 + len(version)

    assert said(block(f"version = {version}"), versionless=versionless) == [
        f"2,13-{end}: Unsuitable value; Expected text or a number, got {shown}."
    ]


@pytest.mark.parametrize(
    ("line", "version"), [("", "builtin"), ('version = ""', "builtin"), ("version = 1.10", "1.1"), ("version = 7", "7")]
)
def test_a_version_is_what_the_host_makes_of_it(line: str, version: str) -> None:
    stack = read(block(line))

    assert (stack.problems, stack.instances[0].version) == ([], version)


def test_an_empty_version_is_a_missing_one() -> None:
    assert said(block('version = ""'), versionless=False) == [
        "1,1-10: Missing version; Engine 'httpd' has versions; add `version = …` to the block."
    ]


def test_a_port_that_is_null_is_refused_with_its_position() -> None:
    assert said(block("port = null")) == [
        "2,10-14: Unsuitable port; Expected a whole number from 1 to 65535, got null."
    ]


def test_what_refers_through_locals_to_a_value_that_cannot_be_had_is_not_wrong_itself() -> None:
    stack = read('variable "unset" {}\nlocals {\n  a = var.unset\n  b = local.a\n}\n' + block("root = local.b"))
    stack.report(stack.instances[0], "doze.hcl:7,10-17: Unsuitable value type; null value is not allowed")

    assert [problem.text.partition(";")[0] for problem in stack.problems] == ["doze.hcl:1,1-17: Missing value"]


@pytest.mark.parametrize("argument", ["port", "version", "enabled", "depends_on"])
def test_an_argument_of_the_host_that_refers_to_an_instance_is_refused_with_its_position(argument: str) -> None:
    config = block(f"{argument} = httpd.b.port") + block(name="b")
    at = len(f"  {argument} = ") + 1

    (line,) = said(config)

    assert line.startswith(
        f'2,{at}-{at + 12}: Unsuitable reference; "{argument}" cannot refer to an instance: the host'
    )


def test_a_local_that_refers_to_an_instance_is_refused_with_its_position() -> None:
    assert [line.partition(":")[0] for line in said("locals {\n  a = httpd.a\n}\n" + block())] == ["2,7-14"]


# -- the order of the instances


def order(config: str) -> list[str]:
    stack = read(config)
    assert stack.problems == []
    return [declared.name for declared in stack.instances]


@pytest.mark.parametrize("key", ['"httpd.b"', "b", '"b"', '"whatever.b"'])
@pytest.mark.parametrize("condition", ["healthy", "started", "lazy"])
def test_an_instance_comes_after_those_that_it_depends_on(key: str, condition: str) -> None:
    assert order(block(f'depends_on = {{ {key} = "{condition}" }}') + block(name="b")) == ["b", "a"]


def test_depends_on_may_be_null() -> None:
    assert order(block("depends_on = null") + block(name="b")) == ["a", "b"]


@pytest.mark.parametrize("value", ['["httpd.b"]', '"httpd.b"', "7"])
def test_depends_on_is_a_map(value: str) -> None:
    where, wanted = f"2,16-{16 + len(value)}", '{ "httpd.b" = "healthy" }'

    assert said(block(f"depends_on = {value}") + block(name="b")) == [
        f"{where}: Unsuitable value; Expected a map such as {wanted}, got {value}."
    ]


@pytest.mark.parametrize("condition", ['"sometimes"', "null", "true", "[]"])
def test_a_condition_that_is_none_is_refused_where_it_stands(condition: str) -> None:
    config = block("depends_on = {", '  "httpd.b" = "healthy"', f'  "httpd.c" = {condition}', "}")

    assert said(config + block(name="b") + block(name="c")) == [
        f'4,17-{17 + len(condition)}: Unsuitable value; Expected "healthy", "started" or "lazy", got {condition}.'
    ]


def test_an_instance_that_depends_on_none_is_told_where_it_says_so() -> None:
    assert said(block('depends_on = { "httpd.bb" = "healthy" }') + block(name="b")) == [
        '2,18-28: Unknown instance; This file has no enabled httpd "bb". Did you mean "b"?'
    ]


def test_depends_on_a_block_that_is_not_served_is_not_wrong_itself() -> None:
    config = block('depends_on = { "postgres.db" = "healthy" }') + 'postgres "db" {}\n'

    assert [line.partition(";")[0] for line in said(config)] == ["4,1-9: Not served"]


# -- ports


def test_a_port_that_another_instance_has_is_refused_with_its_line() -> None:
    ports = {"a": "7001", "b": "7002", "c": '"7001"', "d": "7000 + 1"}
    problems = read("".join(block(f"port = {port}", name=name) for name, port in ports.items())).problems

    text = 'The same port as httpd "a", at doze.hcl:1,1-10; modtool dev serves every instance on 127.0.0.1.'

    assert [problem.text for problem in sorted(problems)] == [
        f'doze.hcl:8,10-16: Duplicate port; {text}\n  8 |   port = "7001"\n    |          ^^^^^^',
        f"doze.hcl:11,10-18: Duplicate port; {text}\n  11 |   port = 7000 + 1\n     |          ^^^^^^^^",
    ]


def test_an_instance_that_is_disabled_takes_no_port() -> None:
    assert said(block("port = 7001", "enabled = false") + block("port = 7001", name="b")) == []


# -- nothing to serve


def test_a_config_whose_instances_are_all_disabled_is_said_to_be_that() -> None:
    with pytest.raises(ModtoolError) as caught:
        read(block("enabled = false") + block("enabled = false", name="b"))

    assert str(caught.value) == "every instance of doze.hcl has `enabled = false`; enable one of them"


# -- circles


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["a = local.b", "b = local.a"], "2,3-4: Dependency cycle; These refer to each other: a -> b -> a."),
        (
            ["z = local.b", "b = local.c", "c = local.b"],
            "3,3-4: Dependency cycle; These refer to each other: b -> c -> b.",
        ),
        (["a = local.a"], "2,3-4: Dependency cycle; a refers to itself."),
    ],
)
def test_locals_that_refer_to_each_other_are_said_to_do_so(lines: list[str], problem: str) -> None:
    config = "locals {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"

    assert said(config + block(f"port = local.{lines[0][0]}")) == [problem]


def test_every_circle_is_said() -> None:
    pairs = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"), ("e", "a")]
    config = "".join(block(f"peer = httpd.{other}.url", name=one) for one, other in pairs)

    assert said(config) == [
        "1,1-10: Dependency cycle; These refer to each other: a -> b -> a.",
        "7,1-10: Dependency cycle; These refer to each other: c -> d -> c.",
    ]


# -- the host's own blocks

UNEXPECTED = "Unsupported argument; An argument named"
ONLY_ONE = "Only one defaults block is allowed."
ALLOWED = """\
defaults {
  idle_timeout = "90s"
  domains      = "true"
}
modules {
  mirror  = upper(var.one)
  enabled = true
  module "httpd" {
    source  = "acme/httpd"
    version = "1.0.0"
  }
}
variable "one" {
  type        = string
  default     = "x"
  description = 7
  sensitive   = true
}
variable "two" {
  default = 2
}
variable "many" {
  type    = list(string)
  default = ["x"]
}
locals {
  late = true
}
locals {
  three = var.two + 1
}
output "url" {
  value       = httpd.a.url
  description = "where ${httpd.a.name} and ${local.three} are"
  sensitive   = false
}
output "nothing" {}
locals {}
"""


def test_what_the_host_takes_in_its_own_blocks_is_not_refused() -> None:
    assert said(ALLOWED + block()) == []


@pytest.mark.parametrize(
    ("config", "problems"),
    [
        (
            'variable "a" { defualt = 1 }',
            [
                f'1,16-23: {UNEXPECTED} "defualt" is not expected here. Did you mean "default"?',
            ],
        ),
        (
            "variable { defualt = 1 }",
            [
                "1,10-11: Missing name for variable; All variable blocks must have 1 labels (name).",
                f'1,12-19: {UNEXPECTED} "defualt" is not expected here. Did you mean "default"?',
            ],
        ),
        (
            'variable "a" "b" { default = 1 }',
            ["1,14-17: Extraneous label for variable; Only 1 labels (name) are expected for variable blocks."],
        ),
        (
            'variable "a" {\n  default = 1\n  validation {}\n}',
            ['3,3-13: Unsupported block type; Blocks of type "validation" are not expected here.'],
        ),
        (
            'variable "a" { default = 1 }\nvariable "a" { default = 2 }',
            ['2,1-13: Duplicate name; variable "a" is already declared, at doze.hcl:1,1-13.'],
        ),
        (
            'locals "x" {}',
            ["1,8-11: Extraneous label for locals; No labels are expected for locals blocks."],
        ),
        (
            "locals {\n  x {}\n}",
            ['2,3-4: Unexpected "x" block; Blocks are not allowed here.'],
        ),
        (
            "locals {\n  b = 1\n}\nlocals {\n  b = 2\n}",
            ['5,3-4: Duplicate name; local "b" is already declared, at doze.hcl:2,3-4.'],
        ),
        ("output {}", ["1,8-9: Missing name for output; All output blocks must have 1 labels (name)."]),
        (
            'output "a" { valeu = 1 }',
            ['1,14-19: Unsupported argument; An argument named "valeu" is not expected here. Did you mean "value"?'],
        ),
        (
            'output "a" {}\noutput "a" {}',
            ['2,1-11: Duplicate name; output "a" is already declared, at doze.hcl:1,1-11.'],
        ),
        (
            "defaults { bogus = nonsense }",
            ['1,12-17: Unsupported argument; An argument named "bogus" is not expected here.'],
        ),
        (
            "defaults { domains = [] }",
            ["1,22-23: Unsuitable value type; Unsuitable value: bool required, but have tuple"],
        ),
        (
            'defaults { idle_timeout = "5 minutes" }',
            ['1,27-38: Unsuitable value; "5 minutes" is not a valid duration (try "5m", "30s").'],
        ),
        (
            'defaults { idle_timeout = "-5m" }',
            ["1,27-32: Unsuitable value; An idle_timeout must not be negative."],
        ),
        ('defaults "x" {}', ["1,10-13: Extraneous label for defaults; No labels are expected for defaults blocks."]),
        (
            "defaults {}\ndefaults {}",
            [
                f"2,1-9: Duplicate defaults block; {ONLY_ONE} Another was defined at doze.hcl:1,1-9.",
            ],
        ),
        (
            "modules {\n  httpd {}\n}",
            ['2,3-8: Unsupported block type; Blocks of type "httpd" are not expected here.'],
        ),
        (
            'modules {\n  module {\n    source = "a/b"\n  }\n}',
            ["2,10-11: Missing name for module; All module blocks must have 1 labels (name)."],
        ),
    ],
)
def test_what_the_host_does_not_take_in_its_own_blocks_is_refused(config: str, problems: list[str]) -> None:
    assert said(f"{config}\n{block()}") == problems


def test_what_refers_to_a_variable_that_was_refused_is_not_wrong_itself() -> None:
    config = 'variable "a" { defualt = 1 }\nvariable "b" "c" {}\ndefaults {\n  domains = var.a\n}\n'
    summaries = [line.partition(";")[0] for line in said(config + block("port = var.a + var.b"))]

    assert summaries == ["1,16-23: Unsupported argument", "2,14-17: Extraneous label for variable"]
