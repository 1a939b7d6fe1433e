"""Config classes as values, and what is refused when one is defined."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle
import re
import subprocess
import sys
import typing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional

import pytest

from doze_sdk.engine import Block, Config, ConfigClassError, DriverError, Validation, attr, hash_of, label

from .modules import Grant, Postgres, Role, Valkey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def refusal(define: Callable[[], object]) -> list[str]:
    """The problems of a class that cannot work, without the class's name that each starts with."""
    with pytest.raises(ConfigClassError) as caught:
        define()
    assert isinstance(caught.value, DriverError)
    lines = str(caught.value).splitlines()
    found = [re.fullmatch(r"config class (?:\S+\.)?Bad: (.*)", line) for line in lines]
    assert all(found)
    return [match[1] for match in found if match]


def with_field(kind: object, declared: object, name: str = "value") -> type:
    """Define a config class of one field."""
    return type("Bad", (Config,), {"__annotations__": {name: kind}, name: declared})


# Values


def test_the_constructor_takes_keywords_and_fills_in_defaults() -> None:
    role = Role(name="app", createdb=True)

    assert (role.name, role.createdb, role.login, role.member_of) == ("app", True, True, [])


def test_an_argument_without_default_must_be_given() -> None:
    with pytest.raises(TypeError, match=r"making a Grant: 'privileges' is required; it has role, privileges, "):
        Grant(role="app")


def test_an_unknown_argument_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"making a Valkey: there is no 'maxmem'; it has password, maxmemory, "):
        Valkey(maxmem="1gb")  # type: ignore[call-arg]


def test_an_unknown_argument_does_not_make_up_for_a_missing_one() -> None:
    with pytest.raises(TypeError, match=r"there is no 'nam', 'name' is required"):
        Role(nam="app")  # type: ignore[call-arg]


def test_objects_are_frozen() -> None:
    valkey = Valkey()

    with pytest.raises(dataclasses.FrozenInstanceError):
        valkey.password = "x"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del valkey.password


def test_objects_are_equal_by_class_and_values() -> None:
    class Other(Config):
        password: str = attr("", doc="As Valkey's.")

    class Same(Config):
        password: str = attr("", doc="As Valkey's.")

    assert Valkey(save=None) == Valkey(save=None)
    assert Valkey() != Valkey(save=None)
    assert Other() != Same()
    assert hash(Other()) == hash(Other())


def test_the_repr_shows_what_differs_from_the_defaults() -> None:
    assert repr(Postgres(role=[Role(name="app")])) == "Postgres(role=[Role(name='app')])"


def test_mutable_defaults_are_not_shared_between_objects() -> None:
    one, other = Postgres(), Postgres()

    one.settings["io_method"] = "worker"

    assert other.settings == {}
    assert Postgres().settings == {}


def test_a_given_list_is_copied() -> None:
    names = ["pgcrypto"]
    postgres = Postgres(extensions=names)

    names.append("citext")

    assert postgres.extensions == ["pgcrypto"]


def test_the_dataclasses_module_takes_them_for_dataclasses() -> None:
    role = Role(name="app")

    assert [field.name for field in dataclasses.fields(Grant)][:2] == ["role", "privileges"]
    assert dataclasses.replace(role, login=False) == Role(name="app", login=False)
    assert dataclasses.asdict(Postgres(role=[role]))["role"][0]["name"] == "app"
    assert hash_of(role) != hash_of(dataclasses.replace(role, login=False))


def test_objects_are_copied_and_pickled() -> None:
    postgres = Postgres(role=[Role(name="app")])

    assert copy.deepcopy(postgres) == postgres
    assert pickle.loads(pickle.dumps(postgres)) == postgres


def test_a_subclass_has_the_fields_of_its_bases_first() -> None:
    class Common(Config):
        data: str = attr("", doc="A text.")
        size: int = attr(1, doc="A number.")

    class Special(Common):
        extra: bool = attr(False, doc="A truth value.")
        size: int = attr(2, doc="Another number.")

    assert repr(Special(data="x", extra=True, size=3)) == (
        "test_a_subclass_has_the_fields_of_its_bases_first.<locals>.Special(data='x', size=3, extra=True)"
    )
    assert Special().size == 2


def test_class_variables_methods_and_properties_are_no_fields() -> None:
    class Sized(Config):
        unit: ClassVar[str] = "MB"
        size: int = attr(16, doc="A size.")

        @property
        def text(self) -> str:
            return f"{self.size}{self.unit}"

    assert Sized().text == "16MB"


def test_types_defined_in_the_same_function_or_class_are_found() -> None:
    class Outer(Config):
        class Inner(Block, doc="Nested in Python as in HCL."):
            name: str = label()

        inner: list[Inner] = attr([])

    class Sibling(Block, doc="Defined in this function."):
        name: str = label()

    class Other(Config):
        sibling: Sibling | None = attr(None)

    assert Outer(inner=[Outer.Inner(name="x")]).inner[0].name == "x"
    assert Other(sibling=Sibling(name="y")).sibling == Sibling(name="y")


def test_a_repeated_block_may_be_left_out_without_attr() -> None:
    class Bare(Config):
        role: list[Role]
        one: Role | None

    assert Bare() == Bare(role=[], one=None)  # type: ignore[call-arg]


def test_optional_is_the_same_as_a_union_with_none() -> None:
    class Old(Config):
        save: Optional[str] = attr(None, doc="A schedule.")  # noqa: UP045 - what this is about

    assert Old().save is None


def test_a_trailing_underscore_is_left_out_in_hcl() -> None:
    from doze_sdk.engine import describe_args

    class Function(Config):
        lambda_: str = attr("", doc="A name that Python keeps for itself.")
        handler: str = attr("", doc="A name that differs.", hcl="entry-point")

    assert [arg.name for arg in describe_args(Function)] == ["lambda", "entry-point"]


def test_a_field_may_be_named_self() -> None:
    class Reflexive(Config):
        self: str = attr("", doc="A name that methods use.")

    assert dataclasses.replace(Reflexive(self="a"), self="b").self == "b"


def test_defining_a_config_class_loads_nothing_of_hcl() -> None:
    program = """
import sys
from doze_sdk.engine import Block, Config, attr, label, describe_args, describe_blocks
class Role(Block, doc="A role."):
    name: str = label()
class Postgres(Config, unique=("role.name",)):
    owner: str = attr("", doc="The owner.")
    role: list[Role]
Postgres(role=[Role(name="x")]), describe_args(Postgres), describe_blocks(Postgres)
print(sorted(name for name in sys.modules if name.startswith("doze_sdk.hcl")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


# What is refused


UNSUPPORTED: dict[str, Any] = {
    "set[str]": set[str],
    "dict[int, str]": dict[int, str],
    "list[str | None]": list[str | None],
    "int | str": int | str,
    "object": object,
    "bytes": bytes,
    "tuple[str, ...]": tuple[str, ...],
    "list": list,
    "dict": dict,
    "List": typing.List,  # noqa: UP006 - what this is about
    "Dict": typing.Dict,  # noqa: UP006 - what this is about
    "list[()]": list[()],  # type: ignore[misc]
    "list[str, int]": list[str, int],  # type: ignore[type-arg]
    "dict[str]": dict[str],  # type: ignore[type-arg]
    "Literal['a', 1]": Literal["a", 1],
    "Literal[True]": Literal[True],
    "Literal[()]": Literal[()],  # type: ignore[valid-type]
    "Valkey": Valkey,
}


@pytest.mark.parametrize("spelled", UNSUPPORTED)
def test_an_annotation_that_no_argument_can_have_is_refused(spelled: str) -> None:
    (problem,) = refusal(lambda: with_field(UNSUPPORTED[spelled], attr(doc="Something.")))
    assert problem.startswith(f"value: {spelled!r} is no type for it; an argument is str, bool, int, float, Literal[…]")


def test_a_type_that_is_unknown_at_run_time_is_refused() -> None:
    def define() -> None:
        class Bad(Config):
            role: list[Later]  # type: ignore[name-defined]  # noqa: F821 - what this is about

    (problem,) = refusal(define)
    assert problem == (
        "role: its type 'list[Later]' cannot be evaluated: name 'Later' is not defined; a config class needs its types "
        "at run time: define or import them above it, outside of 'if TYPE_CHECKING'"
    )


def test_an_empty_text_is_no_type() -> None:
    (problem,) = refusal(lambda: with_field("", attr(doc="Something.")))
    assert problem.startswith("value: its type '' cannot be evaluated: invalid syntax")


@pytest.mark.parametrize("name", ["count", "for_each", "depends_on", "enabled", "version", "listen", "port"])
def test_an_argument_that_belongs_to_doze_is_refused_at_the_top_level(name: str) -> None:
    (problem,) = refusal(lambda: with_field(str, attr("", doc="Something."), name))
    assert problem == (
        f"{name}: the argument '{name}' belongs to doze, as do all of count, depends_on, enabled, for_each, listen, "
        "port, version in an engine's block"
    )


def test_renaming_in_hcl_does_not_hide_an_argument_of_doze() -> None:
    def define() -> None:
        class Bad(Config):
            engine_port: int = attr(0, doc="A port.", hcl="port")

    (problem,) = refusal(define)
    assert problem.startswith("engine_port: the argument 'port' belongs to doze")


def test_a_nested_block_may_use_the_names_that_belong_to_doze() -> None:
    class Extension(Block, doc="An extension."):
        version: str = attr("", doc="Its version.")
        enabled: bool = attr(True, doc="Whether it is used.")

    assert Extension().version == ""


def test_the_names_that_belong_to_doze_are_those_that_decoding_strips() -> None:
    from doze_sdk.engine import _names
    from doze_sdk.hcl import _decode

    assert _names.CORE_ARGUMENTS == _decode.CORE_ARGUMENTS


def test_an_argument_without_doc_is_refused() -> None:
    def define() -> None:
        class Bad(Config):
            a: str = attr("")
            b: str
            c: str = attr("", doc="  ")

    assert refusal(define) == [
        f'{name}: it has no doc; every argument is documented: attr(…, doc="…")' for name in "abc"
    ]


@pytest.mark.parametrize("doc", ["", " \n"])
def test_a_nested_block_without_doc_is_refused(doc: str) -> None:
    def define() -> None:
        class Bad(Block, doc=doc):
            name: str = label()

    assert refusal(define) == ['doc: a nested block is documented by its class: class …(Block, doc="…")']


def test_a_doc_that_is_no_text_is_refused() -> None:
    def define() -> None:
        class Bad(Block, doc=5):  # type: ignore[arg-type]
            name: str = label(doc=[])  # type: ignore[arg-type]
            a: str = attr("", doc=None)  # type: ignore[call-overload]
            role: list[Role] = attr([], doc=b"Roles.")  # type: ignore[call-overload]

    assert refusal(define) == [
        "doc: it is a text, got 5",
        "name: doc is a text, got []",
        "a: doc is a text, got None",
        "role: doc is a text, got b'Roles.'",
    ]


def test_two_fields_of_one_name_in_hcl_are_refused() -> None:
    def define() -> None:
        class Bad(Config):
            role_name: str = attr("", doc="A name.", hcl="role")
            role: list[Role]

    assert refusal(define) == ["role: its name in HCL, 'role', is that of role_name already"]


@pytest.mark.parametrize(
    ("kind", "default", "spelled"),
    [
        (str, 5, "str"),
        (int, True, "int"),
        (int, 1.5, "int"),
        (float, float("nan"), "float"),
        (bool, 0, "bool"),
        (str, None, "str"),
        (list[str], ["a", 1], "list[str]"),
        (list[str], ("a",), "list[str]"),
        (dict[str, int], {"a": "b"}, "dict[str, int]"),
        (Literal["a", "b"], "c", "Literal['a', 'b']"),
        (timedelta, "5s", "timedelta"),
        (Path, "public", "Path"),
    ],
)
def test_a_default_of_another_type_is_refused(kind: object, default: object, spelled: str) -> None:
    (problem,) = refusal(lambda: with_field(kind, attr(default, doc="Something.")))
    assert problem == f"value: its default does not suit its type: expected {spelled}, got {default!r}"


def test_a_default_outside_attr_is_refused() -> None:
    def define() -> None:
        class Bad(Config):
            root: str = "public"

    assert refusal(define) == ["root: its default is given by attr, as in root: str = attr('public', doc=…)"]


def test_attr_without_a_type_is_refused() -> None:
    def define() -> None:
        class Bad(Config):
            root = attr("", doc="A folder.")

    assert refusal(define) == ["root: it has no type; write it as a field, such as root: str = attr(…)"]


def test_redefining_an_inherited_field_without_its_type_is_refused() -> None:
    def define() -> None:
        class Bad(Valkey):
            maxmemory = "1gb"

    assert refusal(define) == [
        "maxmemory: it redefines a field of a base class; write it as a field again, with its type"
    ]


Possibly = Optional[Literal["a"]]  # noqa: UP045 - an alias hides the None


def test_null_needs_a_default_to_keep() -> None:
    def define() -> None:
        class Bad(Config):
            save: str | None = attr(doc="A schedule.")
            names: Optional[list[str]] = attr(doc="Names.")  # noqa: UP045 - what this is about
            choice: Possibly = attr(doc="A choice.")

    told = "null keeps the default, and there is none; write attr(None, …), or"
    assert refusal(define) == [
        f"save: {told} 'str' if it must be set",
        f"names: {told} 'list[str]' if it must be set",
        f"choice: {told} \"Literal['a']\" if it must be set",
    ]


def test_a_label_of_the_engines_own_block_is_refused() -> None:
    def define() -> None:
        class Bad(Config):
            name: str = label()

    assert refusal(define) == [
        "name: the label of an engine's block is the instance's name and no field; drivers find it in instance.name"
    ]


def test_a_label_that_is_no_text_is_refused() -> None:
    def define() -> None:
        class Bad(Block, doc="Something."):
            number: int = label()

    assert refusal(define) == ["number: a label is a str, got 'int'"]


def test_a_field_named_like_the_hook_is_refused() -> None:
    def define() -> None:
        class Bad(Config):
            validate: bool = attr(False, doc="Something.")  # type: ignore[assignment]

    assert refusal(define) == [
        "validate: the name is taken by the hook; call the field 'validate_', which is 'validate' in HCL"
    ]


@pytest.mark.parametrize("hook", [5, None, "text", property(lambda self: None)])
def test_a_hook_that_is_no_function_is_refused(hook: object) -> None:
    (problem,) = refusal(lambda: type("Bad", (Config,), {"validate": hook}))
    assert problem == f"validate: it is the hook, 'def validate(self, v: Validation) -> None', got {hook!r}"


HOOKS_OF_ANOTHER_SHAPE: dict[str, Any] = {
    "(self)": lambda self: None,
    "()": lambda: None,
    "(self, v, strict)": lambda self, v, strict: None,
    "(self, v, *, strict)": lambda self, v, *, strict: None,
    "(v, strict)": staticmethod(lambda v, strict: None),
    "(), of a class": classmethod(lambda cls: None),
}


@pytest.mark.parametrize("shape", HOOKS_OF_ANOTHER_SHAPE)
def test_a_hook_of_another_shape_is_refused(shape: str) -> None:
    (problem,) = refusal(lambda: type("Bad", (Config,), {"validate": HOOKS_OF_ANOTHER_SHAPE[shape]}))
    shown = shape.removesuffix(", of a class")
    assert problem == f"validate: it is called as validate(self, v), got 'def validate{shown}'"


def test_a_hook_of_a_mixin_is_judged_as_well() -> None:
    class Mixin:
        def validate(self) -> None: ...

    def define() -> None:
        class Bad(Mixin, Config):  # type: ignore[misc]
            pass

    assert refusal(define) == ["validate: it is called as validate(self, v), got 'def validate(self)'"]


def test_a_hook_whose_body_would_never_run_is_refused() -> None:
    def define_async() -> None:
        class Bad(Config):
            async def validate(self, v: Validation) -> None: ...  # type: ignore[override]

    def define_generator() -> None:
        class Bad(Config):
            def validate(self, v: Validation) -> Iterator[str]:  # type: ignore[override]
                yield ""

    told = ["validate: it is called as a plain function, and its body would never run; leave out async and yield"]
    assert refusal(define_async) == refusal(define_generator) == told


class _CallableHook:
    def __call__(self, v: object) -> None: ...


@pytest.mark.parametrize(
    "hook",
    [
        lambda self, v: None,
        lambda self, v, strict=True: None,
        lambda *arguments: None,
        staticmethod(lambda v: None),
        classmethod(lambda cls, v: None),
        functools.partialmethod(lambda self, strict, v: None, True),
        _CallableHook(),
        print,
    ],
)
def test_a_hook_may_be_anything_that_can_be_called_with_a_validation(hook: object) -> None:
    made = type("Good", (Config,), {"validate": hook})()

    made.validate("a validation")


def test_names_that_hcl_does_not_have_are_refused() -> None:
    def define() -> None:
        class Bad(Config):
            _hidden: str = attr("", doc="Something.")
            __doc__: str = attr("", doc="Something.")
            spaced: str = attr("", doc="Something.", hcl="two words")
            nameless: str = attr("", doc="Something.", hcl="")

    assert refusal(define) == [
        "_hidden: a field's name does not start with an underscore",
        "__doc__: a field's name does not start with an underscore",
        "spaced: 'two words' is no name in HCL",
        "nameless: '' is no name in HCL",
    ]


def test_a_name_in_hcl_that_is_no_text_is_refused() -> None:
    def define() -> None:
        class Bad(Config, unique=("tags",)):
            a: str = attr("", doc="Something.", hcl=5)  # type: ignore[call-overload]
            tags: list[str] = attr([], doc="Something.", hcl=[])  # type: ignore[call-overload]

    assert refusal(define) == [
        "a: hcl is its name in HCL, a text, got 5",
        "tags: hcl is its name in HCL, a text, got []",
    ]


def test_since_and_until_must_leave_a_version() -> None:
    def define() -> None:
        class Bad(Config):
            a: str = attr("", doc="Something.", since=18, until=18)
            b: str = attr("", doc="Something.", since="18")  # type: ignore[call-overload]
            c: str = attr("", doc="Something.", until=0)

    assert refusal(define) == [
        "a: no engine version has it: since 18 is not below until 18",
        "b: since is the major of an engine version, such as since=18, got '18'",
        "c: until is the major of an engine version, such as until=18, got 0",
    ]


def test_a_gate_for_what_has_no_names_is_refused() -> None:
    def define() -> None:
        class Bad(Config):
            a: int = attr(0, doc="Something.", gate={"x": 18})
            b: dict[str, str] = attr({}, doc="Something.", gate={"x": "18"})  # type: ignore[dict-item]
            c: dict[str, str] = attr({}, doc="Something.", gate={})

    assert refusal(define) == [
        "a: gate is for keys of a map, elements of a list and texts; this is int",
        "b: gate maps names to majors of an engine version, such as {\"io_method\": 18}, got {'x': '18'}",
        'c: gate maps names to majors of an engine version, such as {"io_method": 18}, got {}',
    ]


def test_a_gate_for_an_unknown_value_is_refused() -> None:
    def define() -> None:
        class Bad(Config):
            policy: Literal["lru", "lfu"] = attr("lru", doc="Something.", gate={"lrm": 9})
            rights: list[Literal["read", "write"]] = attr([], doc="Something.", gate={"reed": 9})

    assert refusal(define) == [
        'policy: gate names "lrm", which is not among "lru" | "lfu"',
        'rights: gate names "reed", which is not among "read" | "write"',
    ]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("rol.name", "there is no 'rol'; there are owner, tags, role, one"),
        ("role.nme", "there is no 'nme'; there are name, login, password"),
        ("role.member_of", "member_of of role is no text or number"),
        ("one.name", "one is no repeated block"),
        ("owner.name", "owner is no repeated block"),
        ("role", "role is no list of texts or numbers; for a label of a block write 'role.<label>'"),
        ("role.a.b", "a rule about blocks inside role belongs to the class Role"),
        (5, "expected a text such as 'role.name'"),
    ],
)
def test_a_uniqueness_rule_about_nothing_is_refused(rule: str, problem: str) -> None:
    def define() -> None:
        class Bad(Config, unique=(rule,)):
            owner: str = attr("", doc="Something.")
            tags: list[str] = attr([], doc="Something.")
            role: list[Role]
            one: Role | None

    (found,) = refusal(define)
    assert found.startswith(f"unique: {rule!r}: {problem}")


def test_a_single_text_as_uniqueness_rules_is_refused() -> None:
    def define() -> None:
        class Bad(Config, unique="role.name"):  # type: ignore[arg-type]
            role: list[Role]

    assert refusal(define) == ["unique: expected a tuple of texts, such as (\"role.name\",), got 'role.name'"]


def test_a_shown_default_must_suit_the_type_or_be_a_phrase() -> None:
    def define() -> None:
        class Bad(Config):
            cores: int = attr(0, doc="Something.", show=1.5)
            owner: str | None = attr(None, doc="Something.", show=5)
            name: str = attr(doc="Something.", show="the instance's")

    assert refusal(define) == [
        "cores: show is a value of its type or a phrase: expected int or str, got 1.5",
        "owner: show is a value of its type or a phrase: expected str, got 5",
        "name: show tells a default, and there is none",
    ]


def test_a_nested_block_takes_no_default_and_no_gate() -> None:
    def define() -> None:
        class Bad(Config):
            role: list[Role] = attr([Role(name="x")])
            one: Role = attr(None)  # type: ignore[assignment]
            maybe: Role | None = attr(None, gate={"x": 1})

    assert refusal(define) == [
        "role: a nested block takes no default of its own; expected [], got [Role(name='x')]",
        "one: a nested block takes no default of its own; expected none, got None",
        "maybe: show and gate are for arguments; this is a nested block",
    ]


def test_a_class_is_a_config_or_a_block() -> None:
    def define() -> None:
        class Bad(Config, Block, doc="Something."):
            pass

    assert refusal(define) == ["its bases: a class is a Config or a Block, not both"]


def test_an_unknown_class_argument_is_refused() -> None:
    def define() -> None:
        class Bad(Config, docs="Something."):  # type: ignore[call-arg]
            pass

    assert refusal(define) == ["docs: there is no such class argument; there are doc and unique"]


def test_a_mixin_may_take_class_arguments_of_its_own() -> None:
    class Tagged:
        tag: ClassVar[str]

        def __init_subclass__(cls, tag: str = "", **kwargs: object) -> None:
            super().__init_subclass__(**kwargs)
            cls.tag = tag

    class Before(Tagged, Config, tag="a"):
        pass

    class After(Config, Tagged, tag="b"):
        pass

    assert (Before.tag, After.tag) == ("a", "b")


def test_all_problems_of_a_class_are_told_at_once() -> None:
    def define() -> None:
        class Bad(Config, unique=("nothing",), docs="Something."):  # type: ignore[call-arg]
            version: str = attr("", doc="Something.")
            a: set[str] = attr(doc="Something.")
            b: str = attr("")

    assert [problem.split(":")[0] for problem in refusal(define)] == ["docs", "version", "a", "b", "unique"]
