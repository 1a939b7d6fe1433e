"""The template of a new module: what it refuses, and that what it makes is right for every legal answer."""

import ast
import filecmp
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException
from cookiecutter.main import cookiecutter
from hypothesis import given, strategies

from doze_sdk.engine import RESERVED_TYPES, name_problem
from doze_sdk.modtool import LICENCES, new_project
from doze_sdk.modtool._answers import namespace_problem, problems, text_problem

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "template"

# Each is legal, and each has broken a template somewhere.
NAMES = {
    "one letter": "a",
    "underscores and digits": "a__1_",
    "a keyword": "class",
    "a constant": "none",
    "a module of the standard library": "http",
    "this package": "doze_sdk",
    "long": "n" * 200,
}
HOSTILE = {
    "double quotes": 'the "best" engine',
    "single quotes": "it's 'fine'",
    "both quotes": '"it\'s" \'n" ""',
    "triple quotes": '"""',
    "a backslash at the end": "ends in \\",
    "escapes": r"\N{DASH} \x41 \u0041 %s {x} \{",
    "a template": "{{ cookiecutter.name }} {% raw %} {# x #}",
    "unicode": "Grüße, 世界 \U0001f680 \u2013 \u2018x\u2019 \u200d\u200b\u00a0",
    "markup": "<b>&amp; # [x](y) | z",
    "long": "word " * 60 + "end",
}
ASKED = ("name", "namespace", "description", "author")


@pytest.fixture
def bake(tmp_path):
    """Bakes by plain cookiecutter, from the checkout, out of the home folder."""
    config = tmp_path / "cookiecutter.yaml"
    config.write_text(f'replay_dir: "{tmp_path}/replay"\ncookiecutters_dir: "{tmp_path}/cookiecutters"\n')

    def baked(folder="baked", template=ROOT, directory="template", accept_hooks=True, **answers):
        output = tmp_path / folder
        output.mkdir(exist_ok=True)
        return Path(
            cookiecutter(
                str(template),
                directory=directory,
                no_input=True,
                extra_context={key: expression(answer) if key in ASKED else answer for key, answer in answers.items()},
                output_dir=str(output),
                config_file=str(config),
                accept_hooks=accept_hooks,
            )
        )

    return baked


def expression(answer):
    """Cookiecutter renders what it is given; only what is asked on a terminal stays as it is."""
    return '{{ "' + answer.replace("\\", "\\\\").replace('"', '\\"') + '" }}'


def files(project):
    return sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())


def sources(project):
    return sorted(project.rglob("*.py"))


def tables(project):
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


def run(module, *arguments, cwd, **variables):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def ruff(project, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--no-cache"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


# What it refuses


@pytest.mark.parametrize("name", ["my-engine", "Httpd", "1st", *sorted(RESERVED_TYPES)])
def test_plain_cookiecutter_refuses_a_bad_name_with_the_reason(name, bake, capfd, tmp_path):
    with pytest.raises(FailedHookException):
        bake(name=name)
    assert f"name: {name_problem(name)}\n" in capfd.readouterr().err
    assert list((tmp_path / "baked").iterdir()) == []


def test_plain_cookiecutter_names_every_bad_answer_at_once(bake, capfd):
    with pytest.raises(FailedHookException):
        bake(name="a-b", namespace="A", description="two\nlines", author=" ")
    refused = capfd.readouterr().err
    assert [line.partition(":")[0] for line in refused.splitlines()] == ["name", "namespace", "description", "author"]


@pytest.fixture(scope="module")
def hook():
    return runpy.run_path(str(TEMPLATE / "hooks" / "pre_gen_project.py"), run_name="hook")


NEARLY_NAMES = strategies.text("aZ09_-. é", max_size=6) | strategies.sampled_from(sorted(RESERVED_TYPES))


@given(NEARLY_NAMES)
def test_the_hook_judges_names_as_the_engine_does(hook, name):
    assert hook["name_problem"](name) == name_problem(name)


@given(strategies.text("aZ09_-. é", max_size=6))
def test_the_hook_judges_namespaces_as_modtool_does(hook, namespace):
    assert hook["namespace_problem"](namespace) == namespace_problem(namespace)


@given(strategies.text(max_size=4) | strategies.text("a \n\u202e\u2028\ud800", max_size=4))
def test_the_hook_judges_texts_as_modtool_does(hook, text):
    assert hook["text_problem"](text) == text_problem(text)


def test_the_hook_asks_the_same_questions(hook):
    answers = dict.fromkeys(("name", "namespace", "description", "author"), "\n")
    assert hook["problems"](answers) == problems(answers)


# What it makes


def test_the_licences_offered_are_those_of_modtool():
    assert tuple(json.loads((TEMPLATE / "cookiecutter.json").read_text())["licence"]) == LICENCES


def test_the_template_names_the_version_of_this_checkout():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert json.loads((TEMPLATE / "cookiecutter.json").read_text())["_sdk_version"] == project["version"]


def test_plain_cookiecutter_and_modtool_make_the_same_project(bake, tmp_path):
    answers = {"name": "my_queue", "namespace": "n-1", "description": HOSTILE["both quotes"], "author": "Ann \\"}
    ours = new_project(**answers, output=tmp_path)
    # Only the place of doze-sdk may differ: plain cookiecutter knows no relative path and no installed version.
    source = tables(ours)["tool"].get("uv", {}).get("sources", {}).get("doze-sdk", {}).get("path", "index")
    plain = bake(**answers, _sdk=source)
    assert files(plain) == files(ours)
    assert filecmp.cmpfiles(plain, ours, files(plain), shallow=False) == (files(plain), [], [])


def test_making_it_twice_gives_the_same_bytes_and_modes(bake):
    first, second = bake("first"), bake("second")
    assert files(first) == files(second)
    for name in files(first):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
        assert (first / name).stat().st_mode == (second / name).stat().st_mode, name


@pytest.mark.parametrize("licence", LICENCES)
def test_nothing_of_the_template_is_left_in_it(licence, bake):
    for path in bake(licence=licence).rglob("*"):
        assert "cookiecutter" not in path.name
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert "cookiecutter" not in text, path
            assert not re.search(r"(?<!\$)\{\{(?!\\n| value)|\{%|%\}", text), path
            assert text == "" or (text.endswith("\n") and not text.startswith("\n")), path


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_legal_name_gives_sources_that_pass_lint(name, bake):
    project = bake(name=name)
    assert tables(project)["tool"]["doze"]["name"] == name
    assert_passes_lint(project)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_every_text_arrives_as_it_is_in_sources_that_pass_lint(text, bake):
    project = bake(description=text, author=text)
    assert tables(project)["project"]["description"] == text
    assert tables(project)["project"]["authors"] == [{"name": text}]
    driver = ast.parse((project / "src" / "httpd_plugin" / "driver.py").read_text(encoding="utf-8"))
    assert text in {node.value for node in ast.walk(driver) if isinstance(node, ast.Constant)}
    assert text in (project / "README.md").read_text(encoding="utf-8")
    assert_passes_lint(project)


def assert_passes_lint(project):
    for source in sources(project):
        ast.parse(source.read_text(encoding="utf-8"))
    checked = ruff(project, "check")
    assert checked.returncode == 0, checked.stdout
    formatted = ruff(project, "format", "--diff")
    assert formatted.returncode == 0, formatted.stdout


@pytest.mark.parametrize(
    ("licence", "expression", "text"),
    [
        ("Apache-2.0", "Apache-2.0", "Apache License"),
        ("MIT", "MIT", "Copyright (c) Ann"),
        ("Proprietary", "LicenseRef-Proprietary", "All rights reserved"),
    ],
)
def test_the_licence_is_in_the_metadata_and_in_its_file(licence, expression, text, bake):
    project = bake(licence=licence, author="Ann")
    metadata = tables(project)["project"]
    assert metadata["license"] == expression
    assert metadata["license-files"] == ["LICENSE"]
    assert text in (project / "LICENSE").read_text()
    assert ("Private :: Do Not Upload" in metadata["classifiers"]) == (licence == "Proprietary")


@pytest.mark.parametrize("name", ["a__1_", "doze_sdk"])
def test_an_unusual_name_builds_a_wheel(name, bake, tmp_path):
    project = bake(name=name, licence="Proprietary")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path / "dist", project],
        capture_output=True,
        check=True,
    )
    (wheel,) = (tmp_path / "dist").iterdir()
    assert wheel.name.endswith("_plugin-0.1.0-py3-none-any.whl")


def test_secret_keys_and_environments_are_ignored_by_git(bake):
    ignored = (bake() / ".gitignore").read_text().splitlines()
    assert {"*.secret.key", "/.venv/", "__pycache__/"} <= set(ignored)


@pytest.mark.parametrize("workflow", ["test.yml", "acceptance.yml"])
def test_a_workflow_has_no_rights_but_those_of_its_jobs_and_pinned_actions(workflow, bake):
    parsed = yaml.safe_load((bake() / ".github" / "workflows" / workflow).read_text())
    assert parsed["permissions"] == {}
    assert parsed["concurrency"]["group"] == "${{ github.workflow }}-${{ github.ref }}"
    for job in parsed["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"])


# Where doze-sdk comes from


def test_a_checkout_is_named_by_its_path_wherever_cookiecutter_was_started(bake, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT / "tests")
    for number, (template, directory) in enumerate([(ROOT, "template"), ("..", "template"), ("../template", None)]):
        project = bake(f"from-{number}", template=template, directory=directory)
        source = tables(project)["tool"]["uv"]["sources"]["doze-sdk"]["path"]
        assert Path(source) == ROOT
        assert tables(project)["project"]["dependencies"][0].startswith("doze-sdk>=")


def test_a_wheels_template_pins_the_version_and_leaves_no_compiled_files(bake, tmp_path):
    installed = tmp_path / "site-packages" / "doze_sdk" / "modtool" / "template"
    shutil.copytree(TEMPLATE, installed)
    package = installed / "{{cookiecutter.name}}" / "src" / "{{cookiecutter.__package}}"
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "driver.cpython-311.pyc").write_bytes(b"\0\1compiled")
    project = bake(template=installed.parent)
    version = json.loads((TEMPLATE / "cookiecutter.json").read_text())["_sdk_version"]
    assert tables(project)["project"]["dependencies"] == [f"doze-sdk=={version}"]
    assert "uv" not in tables(project)["tool"]
    assert not list(project.rglob("__pycache__"))
    assert "DOZE_SDK" not in (project / ".github" / "workflows" / "test.yml").read_text()


def test_a_project_made_without_hooks_is_the_same(bake):
    hooked, plain = bake("hooked"), bake("plain", accept_hooks=False)
    assert files(hooked) == files(plain)
    assert filecmp.cmpfiles(hooked, plain, files(hooked), shallow=False)[1:] == ([], [])


def test_make_gives_pip_the_path_of_the_checkout(bake):
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    planned = subprocess.run(
        ["make", "-n", "test", f"PYTHON={sys.executable}"], cwd=bake(), capture_output=True, text=True, check=True
    )
    assert f'"{ROOT}" --editable . --group dev' in planned.stdout


# That it works


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return new_project("my_site", namespace="acme", output=tmp_path_factory.mktemp("module"))


def test_its_own_tests_pass(project):
    # The package is on the path as an installation would put it there; the tests' plugin processes inherit that.
    done = run("pytest", "-p", "no:cacheprovider", "-m", "not acceptance", cwd=project, PYTHONPATH=str(project / "src"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " skipped" not in done.stdout


def test_its_acceptance_tests_say_what_they_miss(project):
    done = run("pytest", "-p", "no:cacheprovider", "-m", "acceptance", cwd=project, PYTHONPATH="src", DOZE_BIN="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "DOZE_BIN names no doze program" in done.stdout


def test_it_passes_its_own_lint(project):
    assert_passes_lint(project)


def test_it_passes_its_own_type_check(project, tmp_path):
    done = run("mypy", "--cache-dir", tmp_path, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_describes_itself_without_the_hosts_cookie(project):
    done = run("my_site_plugin", "__describe", cwd=project, PYTHONPATH="src")
    assert done.returncode == 0, done.stderr
    page = json.loads(done.stdout)
    assert page["Title"] == "my_site"
    assert page["Source"] == "acme/my_site"
    assert [argument["Name"] for argument in page["Config"]] == ["root", "listing"]
