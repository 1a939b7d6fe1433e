import json

from doze_sdk.engine import ConfigArg, ConfigBlock, Description


def test_an_empty_description_has_gos_keys_in_order_and_null_lists() -> None:
    text = json.dumps(Description(title="T").to_json(), separators=(",", ":"))
    assert text == (
        '{"Title":"T","Tagline":"","Category":"","Description":"","Port":0,"Versions":null,"Example":"",'
        '"ExampleLabel":"","Config":null,"Blocks":null,"Homepage":"","Source":""}'
    )


def test_an_argument_has_gos_keys_in_order() -> None:
    argument = ConfigArg(name="wal", type="bool", default="true", desc="Log.", required=True, since="16", until="18")
    assert json.dumps(argument.to_json()) == (
        '{"Name": "wal", "Type": "bool", "Default": "true", "Desc": "Log.", "Required": true, '
        '"Since": "16", "Until": "18"}'
    )


def test_a_block_has_gos_keys_in_order_and_null_for_no_arguments() -> None:
    block = ConfigBlock(name="role", label="name", desc="A role.")
    assert json.dumps(block.to_json()) == '{"Name": "role", "Label": "name", "Desc": "A role.", "Args": null}'


def test_nested_tables_are_in_the_description() -> None:
    argument = ConfigArg(name="login", type="bool")
    described = Description(
        title="T",
        port=5432,
        versions=("16", "17"),
        config=(argument,),
        blocks=(ConfigBlock(name="role", args=(argument,)),),
    ).to_json()
    assert described["Port"] == 5432
    assert described["Versions"] == ["16", "17"]
    assert described["Config"] == [argument.to_json()]
    assert described["Blocks"] == [{"Name": "role", "Label": "", "Desc": "", "Args": [argument.to_json()]}]
