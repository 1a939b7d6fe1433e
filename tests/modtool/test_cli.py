"""The command line's frame: help, exit codes, a missing extra."""

import subprocess
import sys

import pytest

from doze_sdk.engine import DriverError
from doze_sdk.hcl import HCLError, parse
from doze_sdk.modtool import ModtoolError, UsageError, cli


@pytest.fixture
def failing_verb(monkeypatch):
    """Registers a verb `fail` that raises what the test gives it."""
    import types

    import click

    def register(error):
        @click.command("fail")
        def command():
            raise error

        module = types.ModuleType("failing")
        module.command = command
        monkeypatch.setitem(sys.modules, "doze_sdk.modtool._failing", module)
        monkeypatch.setattr(cli, "VERBS", {"fail": ("._failing", "Fail.")})

    return register


def test_the_help_names_every_verb_and_shows_an_example(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in cli.VERBS)
    assert "modtool new httpd" in text


@pytest.mark.parametrize("verb", cli.VERBS)
def test_each_verb_has_examples_of_its_own(verb, capsys):
    assert cli.main([verb, "--help"]) == 0
    assert f"  modtool {verb}" in capsys.readouterr().out.partition("Examples:")[2]


def test_the_version_is_that_of_the_distribution(capsys):
    import importlib.metadata

    assert cli.main(["--version"]) == 0
    assert importlib.metadata.version("doze-sdk") in capsys.readouterr().out


def test_an_unknown_verb_is_a_usage_error_with_the_near_miss(capsys):
    assert cli.main(["nw"]) == 2
    assert "no verb 'nw'; did you mean 'new'?" in capsys.readouterr().err


def test_a_missing_argument_is_a_usage_error(capsys):
    assert cli.main(["new"]) == 2
    assert "Missing argument 'NAME'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(ModtoolError("it is wrong"), 1), (UsageError("it is wrong"), 2), (DriverError("it is wrong"), 1)],
    ids=["the thing", "the usage", "another package of the SDK"],
)
def test_an_expected_error_is_a_sentence_and_an_exit_code(error, code, failing_verb, capsys):
    failing_verb(error)
    assert cli.main(["fail"]) == code
    assert capsys.readouterr().err == "modtool: it is wrong\n"


def test_a_config_that_is_wrong_is_shown_with_its_lines_as_they_are(failing_verb, capsys):
    with pytest.raises(HCLError) as error:
        parse(b'httpd "site" {\n  root = \n}\n', filename="doze.hcl")
    failing_verb(error.value)
    assert cli.main(["fail"]) == 1
    shown = capsys.readouterr().err
    assert "doze.hcl:2," in shown
    assert "modtool:" not in shown


def test_a_defect_keeps_its_traceback(failing_verb):
    failing_verb(RuntimeError("a defect"))
    with pytest.raises(RuntimeError, match="a defect"):
        cli.main(["fail"])


def test_an_interrupt_ends_with_the_shells_code(failing_verb):
    failing_verb(KeyboardInterrupt())
    assert cli.main(["fail"]) == 130


@pytest.mark.parametrize("package", ["click", "cookiecutter"])
def test_a_missing_extra_ends_in_the_command_that_installs_it(package, tmp_path):
    # None in sys.modules is Python's own way of saying "cannot be imported".
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from doze_sdk.modtool.cli import main\n"
        f"sys.exit(main(['new', 'httpd', '--no-input', '--output', {str(tmp_path)!r}]))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert f"the package {package!r} is missing; install it with: pip install 'doze-sdk[modtool]'" in run.stderr


def test_a_missing_package_of_somebody_elses_is_no_missing_extra(failing_verb):
    failing_verb(ModuleNotFoundError("No module named 'numpy'", name="numpy"))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["fail"])


def test_the_help_loads_neither_cookiecutter_nor_rich_nor_grpc():
    program = (
        "import sys\n"
        "from doze_sdk.modtool.cli import main\n"
        "main(['--help'])\n"
        "print(sorted({'cookiecutter', 'rich', 'grpc', 'jinja2'} & set(sys.modules)), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stderr == "[]\n"
