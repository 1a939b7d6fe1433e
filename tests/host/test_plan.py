import pytest

from doze_sdk.engine import Ready, SpawnPlan, SpawnSpec
from doze_sdk.host import PlanError
from doze_sdk.host._plan import steps_of


def spec(name, *after, **fields):
    return SpawnSpec(**{"name": name, "bin": "true", "after": after, **fields})


def order(*specs):
    return [step.spec.name for step in steps_of(SpawnPlan(specs))]


def violations(*specs):
    with pytest.raises(PlanError) as caught:
        steps_of(SpawnPlan(specs))
    assert str(caught.value) == "\n".join(caught.value.violations)
    return caught.value.violations


def test_specs_run_after_the_ones_they_name():
    assert order(spec("web", "db", "cache"), spec("cache", "db"), spec("db")) == ["db", "cache", "web"]


def test_specs_that_name_nothing_keep_their_order():
    assert order(spec("b"), spec("a"), spec("c")) == ["b", "a", "c"]


def test_an_empty_plan_is_refused_in_the_words_of_the_host():
    assert violations() == ("spawn plan has no specs",)


def test_an_unknown_name_is_refused_in_the_words_of_the_host():
    assert violations(spec("web", "db")) == ('spawn spec depends on unknown spec "db"',)


def test_a_cycle_is_refused_in_the_words_of_the_host():
    assert violations(spec("a", "b"), spec("b", "a")) == ('spawn spec dependency cycle at "a"',)


def test_a_spec_that_names_itself_is_a_cycle():
    assert violations(spec("a", "a")) == ('spawn spec dependency cycle at "a"',)


def test_two_specs_of_one_name_are_refused():
    assert violations(spec("a"), spec("b"), spec("a")) == (
        'spawn plan has 2 specs named "a", of which doze would silently run only the last; give each a name of its own',
    )


def test_everything_wrong_with_a_plan_is_reported_at_once():
    found = violations(
        spec("a", "nobody", env=("NOVALUE",)),
        spec("b", ready=Ready(kind="tcp", target="x"), args=("a\0b",)),
        spec("c", bin=""),
    )

    assert found[:3] == (
        'spawn spec depends on unknown spec "nobody"',
        "\"a\" has 'NOVALUE' in env; an entry is NAME=value",
        '"b" has a NUL byte in args; no program can receive one',
    )
    assert found[3].startswith('the readiness probe of "b" cannot pass: the target of a tcp probe is host:port')
    assert found[4:] == ('"c" has an empty bin; it is the path of a program, or a name to look up in PATH',)


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        ("http", "localhost:80/health", "the target of an http probe is an http:// or https:// URL with a host"),
        ("http", "unix:///run/x.sock", "for a unix socket use the kinds socket or exec"),
        ("http", "http://[::1", "the target of an http probe is an http:// or https:// URL with a host"),
        ("http", "http://h:port/", "the target of an http probe is an http:// or https:// URL with a host"),
        ("tcp", "localhost", "the target of a tcp probe is host:port"),
        ("tcp", "::1:80", "with an IPv6 address in brackets"),
        ("tcp", "localhost:", "the target of a tcp probe is host:port"),
        ("tcp", "localhost:65536", "the target of a tcp probe is host:port"),
        ("socket", "", "the target of a socket probe is the path of a unix socket; it is empty"),
        ("log_line", "ready (", r"the log_line expression 'ready (' is not usable: missing closing ): `ready (`"),
        ("exec", "a\0b", "the command of an exec probe holds a NUL byte"),
    ],
)
def test_a_probe_that_could_never_pass_is_refused_before_anything_starts(kind, target, reason):
    (violation,) = violations(spec("main", ready=Ready(kind=kind, target=target)))

    assert violation.startswith('the readiness probe of "main" cannot pass: ')
    assert reason in violation
