from __future__ import annotations

import pytest

from doze_sdk.hcl import (
    BOOL,
    CORE_ARGUMENTS,
    FLOAT,
    HOST_FUNCTIONS,
    INT,
    STRING,
    AttributeSchema,
    BlockNotFoundError,
    BlockSchema,
    BlockSelectionError,
    DecodeError,
    IntType,
    ListType,
    MapType,
    ParseError,
    Repeat,
    Schema,
    SchemaError,
    VariablesError,
    decode_block,
    plain,
    render,
)


def optional(name, type_=STRING, *, nullable=False):
    return AttributeSchema(name, type_, required=False, nullable=nullable)


CACHE = Schema(
    [
        optional("owner"),
        optional("size", INT),
        optional("tiny", IntType(8)),
        optional("ratio", FLOAT),
        optional("eager", BOOL, nullable=True),
        optional("tags", ListType(STRING)),
        optional("settings", MapType(STRING)),
        optional("rules", ListType(MapType(STRING))),
    ],
    [
        BlockSchema("user", Schema([AttributeSchema("password", STRING)], labels=["name"])),
        BlockSchema("limit", Schema([optional("rate", INT)]), repeat=Repeat.OPTIONAL),
    ],
)


def decode(body, schema=CACHE, **options):
    return decode_block(
        f'cache "main" {{\n{body}\n}}\n',
        filename="doze.hcl",
        block_type="cache",
        label="main",
        schema=schema,
        **options,
    )


def problems(body, schema=CACHE, **options):
    with pytest.raises(DecodeError) as caught:
        decode(body, schema, **options)
    return [str(diagnostic) for diagnostic in caught.value.diagnostics]


def values(body, **options):
    return {name: argument.value for name, argument in decode(body, **options).arguments.items()}


# Values


def test_values_are_converted_to_the_types_of_the_schema():
    assert values(
        'owner = 1.50\nsize = "8080"\nratio = 1/4\neager = "true"\ntags = [1, true, "x"]\n'
        "settings = { b = 2, a = true }\nrules = [{ k = 1 }]"
    ) == {
        "owner": "1.5",
        "size": 8080,
        "ratio": 0.25,
        "eager": True,
        "tags": ["1", "true", "x"],
        "settings": {"a": "true", "b": "2"},
        "rules": [{"k": "1"}],
    }


def test_the_keys_of_a_map_are_in_order():
    assert list(decode("settings = { b = 1, é = 2, a = 3 }").arguments["settings"].value) == ["a", "b", "é"]


def test_what_is_not_set_is_neither_null_nor_empty():
    decoded = decode("tags = null\neager = null\nsettings = {}")

    assert {name: argument.value for name, argument in decoded.arguments.items()} == {
        "tags": None,
        "eager": None,
        "settings": {},
    }
    assert "owner" not in decoded.arguments
    assert decoded.failed == frozenset()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("owner = null", "2,9-13: Unsuitable value type; Unsuitable value: null value is not allowed"),
        ("owner = []", "2,9-10: Unsuitable value type; Unsuitable value: string required, but have tuple"),
        ("size = 1.5", "2,8-11: Unsuitable value type; Unsuitable value: value must be a whole number, between"),
        (
            "tiny = 128",
            "2,8-11: Unsuitable value type; Unsuitable value: value must be a whole number, between -128 and 127",
        ),
        (
            "ratio = 1e400",
            "2,9-14: Unsuitable value type; Unsuitable value: value must be between -1797693134862315708",
        ),
        (
            'eager = "TRUE"',
            "2,10-14: Unsuitable value type; Unsuitable value: a bool is required; to convert from string, use",
        ),
        ("eager = 1", "2,9-10: Unsuitable value type; Unsuitable value: bool required, but have number"),
        ("tags = {}", "2,8-9: Unsuitable value type; Unsuitable value: list of string required"),
        (
            'tags = ["a", []]',
            "2,8-9: Unsuitable value type; Unsuitable value: element 1: string required, but have tuple",
        ),
        ('tags = ["a", null]', "2,8-9: Unsuitable value type; Unsuitable value: null value is not allowed"),
        ("settings = []", "2,12-13: Unsuitable value type; Unsuitable value: map of string required"),
        (
            "settings = { a = {} }",
            '2,12-13: Unsuitable value type; Unsuitable value: element "a": string required, but have object',
        ),
        ('size = ""', "2,10-10: Unsuitable value type; Unsuitable value: a number is required"),
    ],
)
def test_an_unsuitable_value_is_refused_in_the_hosts_words(body, text):
    (problem,) = problems(body)

    assert problem.startswith(f"doze.hcl:{text}")


@pytest.mark.parametrize(
    ("expression", "start", "end"),
    [
        ('"${["a"]}"', 9, 19),
        ("[1]", 9, 10),
        ("[for x in []: x]", 9, 10),
        ("-[1]", 9, 10),
        ("([1])", 10, 11),
        ('["a"][*]', 14, 17),
        ("true ? [1] : []", 9, 13),
    ],
)
def test_an_unsuitable_value_is_pointed_at_where_its_expression_starts(expression, start, end):
    problem = problems(f"owner = {expression}")[-1]

    assert problem.startswith(f"doze.hcl:2,{start}-{end}: ")


# Structure


def test_what_does_not_belong_is_refused_with_a_near_miss():
    assert problems("ownr = 1\nlimits {}\nuser = 1\nsettings { a = 1 }\nzzzz = 1") == [
        'doze.hcl:2,1-5: Unsupported argument; An argument named "ownr" is not expected here. Did you mean "owner"?',
        'doze.hcl:3,1-7: Unsupported block type; Blocks of type "limits" are not expected here. Did you mean "limit"?',
        (
            'doze.hcl:4,1-5: Unsupported argument; An argument named "user" is not expected here. Did you mean to'
            ' define a block of type "user"?'
        ),
        (
            'doze.hcl:5,1-9: Unsupported block type; Blocks of type "settings" are not expected here. Did you mean to'
            ' define argument "settings"? If so, use the equals sign to assign it a value.'
        ),
        'doze.hcl:6,1-5: Unsupported argument; An argument named "zzzz" is not expected here.',
    ]


def test_labels_are_counted():
    assert problems('user {\n  password = "x"\n}\nuser "a" "b" {}\nlimit "x" {}') == [
        "doze.hcl:2,6-7: Missing name for user; All user blocks must have 1 labels (name).",
        "doze.hcl:5,10-13: Extraneous label for user; Only 1 labels (name) are expected for user blocks.",
        "doze.hcl:6,7-10: Extraneous label for limit; No labels are expected for limit blocks.",
    ]


def test_a_block_of_which_there_may_be_one_is_refused_twice():
    assert problems("limit {}\nlimit {}") == [
        "doze.hcl:3,1-6: Duplicate limit block; Only one limit block is allowed. Another was defined at doze.hcl:2,1-6."
    ]


def test_what_is_missing_is_reported_at_the_opening_brace():
    schema = Schema(
        [AttributeSchema("b", STRING), AttributeSchema("a", STRING)],
        [BlockSchema("c", Schema.EMPTY, repeat=Repeat.REQUIRED)],
    )

    assert problems("", schema) == [
        'doze.hcl:1,14-14: Missing required argument; The argument "a" is required, but no definition was found.',
        'doze.hcl:1,14-14: Missing required argument; The argument "b" is required, but no definition was found.',
        "doze.hcl:1,14-14: Missing c block; A c block is required.",
    ]


def test_an_evaluation_error_is_followed_by_its_echo_and_every_problem_is_listed_in_order():
    with pytest.raises(DecodeError) as caught:
        decode('size = "x"\nowner = nope.x\nuser "a" {}')

    assert [(one.summary, one.follows) for one in caught.value.diagnostics] == [
        ("Unsuitable value type", False),
        ("Unknown variable", False),
        ("Unsuitable value type", True),
        ("Missing required argument", False),
    ]
    assert str(caught.value) == plain(caught.value.diagnostics)


def test_a_failed_decoding_carries_what_could_be_decoded():
    with pytest.raises(DecodeError) as caught:
        decode('size = "x"\nowner = "me"')

    decoded = caught.value.decoded
    assert decoded.failed == {"size"}
    assert decoded.arguments["owner"].value == "me"


def test_two_members_of_one_name_make_no_schema():
    with pytest.raises(SchemaError, match="'a'"):
        Schema([optional("a")], [BlockSchema("a", Schema.EMPTY)])
    with pytest.raises(SchemaError, match="'name'"):
        Schema(labels=["name", "name"])


# Places


def test_blocks_are_in_source_order_with_their_labels_and_ranges():
    decoded = decode('user "b" {\n  password = 1\n}\nlimit {}\nuser a { password = 2 }')

    assert [(block.type, str(block.range)) for block in decoded.blocks] == [
        ("user", "doze.hcl:2,1-9"),
        ("limit", "doze.hcl:5,1-6"),
        ("user", "doze.hcl:6,1-7"),
    ]
    assert [[(label.name, label.value, str(label.range)) for label in block.labels] for block in decoded.blocks] == [
        [("name", "b", "doze.hcl:2,6-9")],
        [],
        [("name", "a", "doze.hcl:6,6-7")],
    ]
    assert [block.arguments["password"].value for block in decoded.blocks_of("user")] == ["1", "2"]
    assert str(decoded.missing_range) == "doze.hcl:1,14-14"


def test_an_argument_knows_where_its_name_its_value_and_its_elements_are():
    decoded = decode('settings = {\n  io = "x"\n  "a b" : 1\n}\ntags = ["a", "b"]')
    settings, tags = decoded.arguments["settings"], decoded.arguments["tags"]

    assert str(settings.name_range) == "doze.hcl:2,1-9"
    assert str(settings.range) == "doze.hcl:2,12-5,2"
    assert str(settings.subject) == "doze.hcl:2,12-13"
    assert [(one.key, str(one.key_range), str(one.value_range)) for one in settings.elements()] == [
        ("io", "doze.hcl:3,3-5", "doze.hcl:3,8-11"),
        ("a b", "doze.hcl:4,3-8", "doze.hcl:4,11-12"),
    ]
    assert str(settings.element_range("io")) == "doze.hcl:3,3-5"
    assert settings.element_range("elsewhere") == settings.range
    assert str(tags.element_range(1)) == "doze.hcl:6,14-17"


# The pipeline


def test_core_arguments_are_neither_evaluated_nor_expected():
    body = "\n".join(f"{name} = nope.{name}" for name in sorted(CORE_ARGUMENTS))

    assert values(body) == {}
    assert {"count", "for_each", "depends_on", "enabled", "version", "listen", "port"} == CORE_ARGUMENTS


def test_a_core_argument_is_stripped_even_if_the_schema_has_it():
    assert problems("port = 1", Schema([AttributeSchema("port", INT)])) == [
        'doze.hcl:1,14-14: Missing required argument; The argument "port" is required, but no definition was found.'
    ]


def test_core_names_inside_nested_blocks_belong_to_the_module():
    schema = Schema(blocks=[BlockSchema("rule", Schema([optional("enabled", BOOL)]))])

    assert decode("rule { enabled = true }", schema).blocks[0].arguments["enabled"].value is True


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("cache {", ParseError, "parsing config: doze.hcl:1,7-8: Unclosed configuration block; "),
        (
            'cache {}\ncache "a" "b" {}\n',
            BlockSelectionError,
            (
                "reading config blocks: doze.hcl:1,7-8: Missing name for cache; All cache blocks must have 1 labels"
                " (name)., and 1 other diagnostic(s)"
            ),
        ),
        ('cache "a" {}\n', BlockNotFoundError, 'block cache "main" not found in source'),
    ],
)
def test_each_stage_has_its_own_error(source, error, message):
    with pytest.raises(error) as caught:
        decode_block(source, filename="doze.hcl", block_type="cache", label="main", schema=CACHE)

    assert str(caught.value).startswith(message)


def test_variables_are_json_with_exact_numbers_and_normal_strings():
    variables = {"var": b'{"big": 123456789012345678901234567890, "e\\u0301": "e\\u0301", "list": [1, null]}'}

    assert values("owner = var.big\ntags = [var.é, var.list[0]]", variables=variables) == {
        "owner": "123456789012345678901234567890",
        "tags": ["é", "1"],
    }


def test_a_variable_that_is_no_json_is_named():
    with pytest.raises(VariablesError, match="variable 'var' is not JSON"):
        decode("", variables={"var": b"{"})


def test_a_function_call_is_refused_with_the_way_out():
    with pytest.raises(DecodeError) as caught:
        decode('owner = upper("x")')

    assert str(caught.value).splitlines()[0] == (
        "doze.hcl:2,9-19: Function calls not allowed; Functions may not be called here."
    )
    assert "local.<name>" in render(caught.value.diagnostics)


def test_functions_work_for_a_module_that_opts_in():
    assert values('owner = upper("x")', functions=HOST_FUNCTIONS) == {"owner": "X"}
    assert "env" not in HOST_FUNCTIONS
