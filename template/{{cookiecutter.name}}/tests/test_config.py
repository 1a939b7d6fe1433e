from pathlib import Path

import pytest
from doze_sdk import engine
from doze_sdk.hcl import HCLError
{% from "literals.jinja" import import_from with context %}
{{ import_from("config", "Settings") }}
{{ import_from("driver", "Driver") }}


def decode(body: str, folder: Path) -> Settings:
    request = engine.DecodeRequest(
        file=f'{Driver.type} "site" {% raw %}{{\n{body}\n}}{% endraw %}\n'.encode(),
        filename="doze.hcl",
        block_type=Driver.type,
        block_label="site",
        base_dir=folder,
    )
    settings = engine.decode(Driver(), request)
    assert isinstance(settings, Settings)
    return settings


def test_the_root_is_relative_to_the_config_file(tmp_path: Path) -> None:
    assert decode('root = "public"', tmp_path).root == tmp_path / "public"


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    settings = decode('root = "."', tmp_path)
    assert settings.listing is False
    assert settings.header == []


def test_headers_keep_their_order(tmp_path: Path) -> None:
    settings = decode('root = "."\nheader "B" { value = "1" }\nheader "A" { value = "2" }', tmp_path)
    assert [(header.name, header.value) for header in settings.header] == [("B", "1"), ("A", "2")]


@pytest.mark.parametrize(
    ("body", "line", "text"),
    [
        ("listing = true", 1, '"root" is required'),
        ('root = "."\nroots = "."', 3, '"roots" is not expected here'),
        ('root = "."\nlisting = "perhaps"', 3, "a bool is required"),
        ('root = "."\nheader { value = "1" }', 3, "name"),
        ("root = ", 2, "Invalid expression"),
    ],
    ids=["a missing argument", "an unknown one", "a wrong type", "a missing label", "a syntax error"],
)
def test_a_bad_block_is_refused_where_it_is_bad(body: str, line: int, text: str, tmp_path: Path) -> None:
    with pytest.raises(HCLError) as refusal:
        decode(body, tmp_path)
    assert f"doze.hcl:{line}," in str(refusal.value)
    assert text in str(refusal.value)
