from pathlib import Path

from doze_sdk import engine
from doze_sdk.plugin import description_of
{% from "literals.jinja" import import_from with context %}
{{ import_from("driver", "Driver") }}

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_every_argument_is_described() -> None:
    page = description_of(Driver())
    assert [argument.name for argument in page.config] == ["root", "listing"]
    assert [block.name for block in page.blocks] == ["header"]
    assert all(argument.desc for argument in page.config)


def test_a_versionless_module_lists_no_versions() -> None:
    assert Driver().describe().versions == ()


def test_the_example_of_the_page_decodes(tmp_path: Path) -> None:
    page = Driver().describe()
    decode(page.example, page.example_label, tmp_path)


def test_the_example_file_decodes() -> None:
    decode((EXAMPLES / "doze.hcl").read_text(), "site", EXAMPLES)


def decode(text: str, label: str, folder: Path) -> None:
    request = engine.DecodeRequest(
        file=text.encode(), filename="doze.hcl", block_type=Driver.type, block_label=label, base_dir=folder
    )
    engine.decode(Driver(), request)
