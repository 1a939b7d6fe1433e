"""`modtool check`: its exit codes, and which project it looks at."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.modtool.conftest import GREETER, ROOT, Start

from doze_sdk.modtool import cli

HERE = f"{sys.executable} -m tests.modules"


@pytest.fixture
def project(modtool: Start, short_dir: Path) -> Path:
    assert modtool("new", "hello", "--no-input").end() == 0
    return short_dir / "hello"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_generated_project_keeps_the_contract_wherever_one_stands_in_it(modtool: Start, project: Path) -> None:
    for folder, arguments in ((project, ()), (project / "src", ()), (project.parent, ("hello",))):
        running = modtool("check", *arguments, cwd=folder)

        assert (running.end(), running.out) == (0, "the module keeps the contract\n"), running.err


def test_violations_are_listed_with_their_number_and_exit_code_1(modtool: Start, project: Path) -> None:
    driver = project / "src" / "hello_plugin" / "driver.py"
    edit(driver, 'category="server"', 'category=""')
    edit(driver, "http://{endpoint.tcp_addr}", "http://localhost")
    edit(project / "pyproject.toml", 'name = "hello"\n', 'name = "hullo"\n')
    running = modtool("check", cwd=project)

    assert running.end() == 1
    assert running.err.splitlines() == [
        "type: the driver's type is 'hello', [tool.doze] name is 'hullo'",
        "describe: category is empty",
        "conn_string: the host replaces endpoint.tcp_addr in the URL; 'example.doze:7001' is not in 'http://localhost'",
        "3 violations",
    ]


def test_a_driver_that_cannot_be_imported_is_said_with_its_file_and_line(modtool: Start, project: Path) -> None:
    driver = project / "src" / "hello_plugin" / "driver.py"
    driver.write_text("import no_such_package\n" + driver.read_text())
    running = modtool("check", cwd=project)

    assert running.end() == 1
    assert "No module named 'no_such_package' (hello_plugin/driver.py:1)" in running.err


def test_all_that_is_wrong_with_the_projects_table_is_said_at_once_with_exit_code_2(
    modtool: Start, project: Path
) -> None:
    edit(
        project / "pyproject.toml",
        'namespace = "acme"\nentry = "hello_plugin.driver:Driver"\n',
        'namespace = "Acme Corp"\nentry = 7\nversion = "1"\nminor = ["3.12"]\n',
    )
    running = modtool("check", cwd=project)
    said = [line.partition("[tool.doze] ")[2] for line in running.err.splitlines()] if running.end() == 2 else []

    assert said == [
        "version: not settable here, it is [project] version",
        'minor: unknown key "minor" (did you mean "minors"?)',
        'namespace: expected [a-z0-9][a-z0-9-]*, got "Acme Corp"',
        "entry: expected a text, got 7",
    ], running.err


def test_a_folder_without_a_project_is_a_usage_error(modtool: Start) -> None:
    running = modtool("check")

    assert running.end() == 2
    assert "belongs to no module: no pyproject.toml with a [tool.doze] table here or above" in running.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool", "pyproject.toml: "),
        ("tool = 3", "belongs to no module"),
        ("tool.doze = 3", "pyproject.toml: tool.doze: expected a table, got 3"),
    ],
)
def test_a_project_file_without_the_table_is_a_usage_error(
    modtool: Start, short_dir: Path, text: str, words: str
) -> None:
    (short_dir / "pyproject.toml").write_text(text)
    running = modtool("check")

    assert running.end() == 2
    assert words in running.err
    assert "Traceback" not in running.err


@pytest.mark.parametrize("verb", ["check", "dev"])
@pytest.mark.parametrize(
    ("command", "words"), [("python 'x", "No closing quotation"), ("", "--plugin names no program")]
)
def test_a_command_that_cannot_be_read_is_a_usage_error(
    verb: str, command: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([verb, "--plugin", command]) == 2
    assert words in capsys.readouterr().err


def test_an_entry_in_another_package_is_said_to_be_wrong_in_the_table(modtool: Start, project: Path) -> None:
    edit(project / "pyproject.toml", 'entry = "hello_plugin.', 'entry = "helo_plugin.')
    running = modtool("check", cwd=project)

    assert running.end() == 1
    assert "No module named helo_plugin" in running.err
    assert "see `entry` in [tool.doze]" in running.err


def test_a_module_whose_description_takes_too_long_is_told_where_to_wait_instead(
    modtool: Start, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = project / "src" / "hello_plugin" / "driver.py"
    driver.write_text("import sys, time\ntime.sleep('__describe' in sys.argv and 100)\n" + driver.read_text())
    monkeypatch.setattr("doze_sdk.plugin._remote._DESCRIBE_BUDGET", 1)

    assert cli.main(["check", str(project)]) == 1
    assert "__describe has printed nothing within 1 s; see what importing the driver waits for" in (
        capsys.readouterr().err
    )


def test_a_command_that_does_not_exist_is_an_error_with_a_sentence(modtool: Start) -> None:
    running = modtool("check", "--plugin", "no-such-program")

    assert running.end() == 1
    assert "no-such-program" in running.err
    assert "Traceback" not in running.err


def test_a_module_named_by_its_command_is_checked(modtool: Start) -> None:
    assert modtool("check", "--plugin", GREETER).end() == 0


@pytest.mark.parametrize("verb", ["check", "dev"])
def test_a_module_that_hangs_at_start_is_given_up(
    verb: str, short_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(short_dir)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for where in ("doze_sdk.plugin", "doze_sdk.enginetest._contract"):
        monkeypatch.setattr(f"{where}.START_BUDGET", 1.0)
    (short_dir / "doze.hcl").write_text('x "y" {}\n')

    assert cli.main([verb, "--plugin", f"{HERE}.hangs_at_start"]) == 1
    assert "the module did not announce itself within 1 s" in capsys.readouterr().err
