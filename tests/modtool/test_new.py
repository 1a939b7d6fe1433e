"""`modtool new`: the verb and the library function under it."""

import importlib.metadata
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import doze_sdk
from doze_sdk.engine import RESERVED_TYPES
from doze_sdk.modtool import ModtoolError, UsageError, cli, new_project


def tables(project):
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_answers_are_in_the_project(tmp_path):
    texts = ["--namespace", "acme", "--description", "Queues things.", "--author", "Ann"]
    assert cli.main(["new", "my_queue", *texts, "--licence", "mit", "--output", str(tmp_path)]) == 0
    project = tables(tmp_path / "my_queue")
    assert project["project"]["description"] == "Queues things."
    assert project["project"]["authors"] == [{"name": "Ann"}]
    assert project["project"]["license"] == "MIT"
    assert project["tool"]["doze"] == {
        "name": "my_queue",
        "namespace": "acme",
        "entry": "my_queue_plugin.driver:Driver",
    }
    assert "Copyright (c) Ann" in (tmp_path / "my_queue" / "LICENSE").read_text()


def test_it_prints_the_tree_and_the_next_commands(tmp_path, capsys):
    cli.main(["new", "httpd", "--no-input", "--output", str(tmp_path)])
    text = capsys.readouterr().out
    assert "driver.py" in text
    assert f"cd {tmp_path}/httpd" in text
    assert "make test" in text


def test_the_current_folder_is_where_it_is_made_by_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", "httpd", "--no-input"]) == 0
    assert (tmp_path / "httpd" / "pyproject.toml").is_file()
    assert "cd httpd\n" in capsys.readouterr().out


def test_nothing_but_the_project_is_left(tmp_path, monkeypatch):
    home = tmp_path / "home"
    scratch = tmp_path / "scratch"
    output = tmp_path / "output"
    for folder in (home, scratch, output):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(scratch))
    new_project("httpd", output=output)
    assert list(home.iterdir()) == []
    assert list(scratch.iterdir()) == []
    assert [entry.name for entry in output.iterdir()] == ["httpd"]


def test_the_users_cookiecutter_configuration_has_no_say(tmp_path, monkeypatch):
    config = tmp_path / "config.yaml"
    config.write_text("default_context:\n  namespace: other\n")
    monkeypatch.setenv("COOKIECUTTER_CONFIG", str(config))
    assert tables(new_project("httpd", output=tmp_path))["tool"]["doze"]["namespace"] == "acme"


@pytest.mark.parametrize("name", ["my-engine", "Httpd", "1st", "", "../x", "é", *sorted(RESERVED_TYPES)])
def test_a_bad_name_is_refused_with_the_reason(name, tmp_path, capsys):
    assert cli.main(["new", "--no-input", "--output", str(tmp_path), "--", name]) == 2
    text = capsys.readouterr().err
    assert text.startswith("modtool: name: ")
    assert "is reserved by the host" in text or f"expected [a-z][a-z0-9_]*, got {name!r}" in text
    assert list(tmp_path.iterdir()) == []


def test_every_bad_answer_is_named_at_once(tmp_path):
    with pytest.raises(UsageError) as refusal:
        new_project("a-b", namespace="Acme", description="two\nlines", author="", licence="GPL", output=tmp_path)
    assert str(refusal.value).splitlines() == [
        "name: expected [a-z][a-z0-9_]*, got 'a-b' (did you mean 'a_b'?)",
        "namespace: expected [a-z0-9][a-z0-9-]*, got 'Acme' (did you mean 'acme'?)",
        "description: expected one line of text, got the character '\\n' in it",
        "author: expected a line of text, got an empty one",
        "licence: expected one of Apache-2.0, MIT, Proprietary, got 'GPL'",
    ]


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_is_in_the_way_is_kept_and_named(kind, tmp_path, capsys):
    there = tmp_path / "httpd"
    if kind == "folder":
        there.mkdir()
        (there / "mine").touch()
    elif kind == "file":
        there.touch()
    else:
        there.symlink_to("nowhere")
    assert cli.main(["new", "httpd", "--no-input", "--output", str(tmp_path)]) == 2
    assert f"{there} already exists" in capsys.readouterr().err
    assert os.path.lexists(there)
    assert kind != "folder" or (there / "mine").exists()


def test_an_output_folder_that_does_not_exist_is_a_usage_error(tmp_path, capsys):
    assert cli.main(["new", "httpd", "--no-input", "--output", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written_is_a_sentence():
    with pytest.raises(ModtoolError, match=r"making /proc/httpd: "):
        new_project("httpd", output=Path("/proc"))


def test_text_that_looks_like_a_template_stays_what_it_is(tmp_path):
    text = '{{ 7 * 7 }} {% raw %} {# not a comment #} \\ "quoted"'
    assert tables(new_project("httpd", description=text, output=tmp_path))["project"]["description"] == text


def test_a_project_names_the_checkout_by_a_relative_path_or_else_pins_the_version(tmp_path):
    link = tmp_path / "link"
    folder = tmp_path / "folder"
    folder.mkdir()
    link.symlink_to(folder)  # a path relative to a link would be followed from where the link points
    project = new_project("httpd", output=link)
    requirements = tables(project)["project"]["dependencies"]
    if "site-packages" in doze_sdk.__file__:
        assert requirements == [f"doze-sdk=={importlib.metadata.version('doze-sdk')}"]
        return
    source = tables(project)["tool"]["uv"]["sources"]["doze-sdk"]
    assert requirements[0].startswith("doze-sdk>=")
    assert not Path(source["path"]).is_absolute()
    assert (folder / "httpd" / source["path"] / "sdk" / "modtool").is_dir()


def test_on_a_terminal_it_asks_for_what_is_not_given(tmp_path):
    process, terminal = on_a_terminal("new", "httpd", "--licence", "MIT", "--output", str(tmp_path))
    # The first namespace is refused and asked for again.
    os.write(terminal, b"Acme\nacme2\n\nAnn\n")
    shown = read_to_the_end(terminal)
    assert process.wait(10) == 0, shown
    assert "expected [a-z0-9][a-z0-9-]*, got 'Acme'" in shown
    assert "Licence" not in shown
    project = tables(tmp_path / "httpd")
    assert project["tool"]["doze"]["namespace"] == "acme2"
    assert project["project"]["description"] == "Serves the files of a folder over HTTP."
    assert project["project"]["authors"] == [{"name": "Ann"}]


def test_on_a_terminal_a_bad_name_is_refused_before_any_question(tmp_path):
    process, terminal = on_a_terminal("new", "a-b", "--output", str(tmp_path))
    shown = read_to_the_end(terminal)
    assert process.wait(10) == 2
    assert "did you mean 'a_b'?" in shown
    assert "Namespace" not in shown


def on_a_terminal(*arguments):
    ours, theirs = pty.openpty()
    program = "import sys; from doze_sdk.modtool.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    return process, ours


def read_to_the_end(terminal):
    text = b""
    try:
        while chunk := os.read(terminal, 4096):
            text += chunk
    except OSError:  # Linux says EIO when the other end is closed
        pass
    finally:
        os.close(terminal)
    return text.decode()
