import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from doze_sdk.engine import TemplateError, clone_template_dir, ensure_template_dir


def is_ready(path: Path) -> bool:
    return (path / "PG_VERSION").is_file()


def fill(path: Path) -> None:
    (path / "base").mkdir()
    (path / "base" / "1").write_text("data")
    (path / "PG_VERSION").write_text("16\n")


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_template_is_made_in_a_private_sibling_and_renamed(tmp_path: Path) -> None:
    target = tmp_path / "engine" / "_templates" / "16.4"
    seen: list[Path] = []

    def init(path: Path) -> None:
        seen.append(path)
        assert path.parent == target.parent
        assert path.name.startswith("_tmpl-")
        assert path.stat().st_mode & 0o777 == 0o700
        assert not target.exists()
        fill(path)

    ensure_template_dir(target, is_ready, init)
    assert len(seen) == 1
    assert contents(target) == {"PG_VERSION": "16\n", "base/1": "data"}
    assert names_in(target.parent) == ["16.4"]
    assert target.parent.stat().st_mode & 0o777 == 0o700


def test_a_ready_template_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "16.4"
    target.mkdir()
    fill(target)

    def init(path: Path) -> None:
        raise AssertionError("it is ready")

    ensure_template_dir(target, is_ready, init)


def test_an_init_that_raises_leaves_nothing_and_its_error_passes(tmp_path: Path) -> None:
    def init(path: Path) -> None:
        (path / "half").write_text("x")
        raise RuntimeError("initdb failed")

    with pytest.raises(RuntimeError, match="initdb failed"):
        ensure_template_dir(tmp_path / "16.4", is_ready, init)
    assert names_in(tmp_path) == []


def test_an_init_that_leaves_it_incomplete_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"installing template: .*16\.4 was initialised and is not complete"):
        ensure_template_dir(tmp_path / "16.4", is_ready, lambda path: None)
    assert names_in(tmp_path) == []


def test_an_incomplete_folder_of_that_name_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "16.4"
    target.mkdir()
    (target / "half").write_text("x")
    ensure_template_dir(target, is_ready, fill)
    assert contents(target) == {"PG_VERSION": "16\n", "base/1": "data"}
    assert names_in(tmp_path) == ["16.4"]


def test_a_file_of_that_name_is_an_error_that_says_so(tmp_path: Path) -> None:
    target = tmp_path / "16.4"
    target.write_text("a file")
    with pytest.raises(TemplateError, match=r"installing template: cannot rename .* to .*16\.4"):
        ensure_template_dir(target, is_ready, fill)
    assert names_in(tmp_path) == ["16.4"]


def test_a_template_that_another_process_installs_in_the_meantime_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "16.4"

    def init(path: Path) -> None:
        fill(path)
        target.mkdir()
        fill(target)
        (target / "theirs").write_text("x")

    ensure_template_dir(target, is_ready, init)
    assert (target / "theirs").exists()
    assert names_in(tmp_path) == ["16.4"]


RACER = """
import os, sys
from pathlib import Path
from doze_sdk.engine import ensure_template_dir

target = Path(sys.argv[1])

def is_ready(path):
    return (path / "owner").is_file()

def init(path):
    print("init", flush=True)
    sys.stdin.readline()
    (path / "owner").write_text(str(os.getpid()))

ensure_template_dir(target, is_ready, init)
print((target / "owner").read_text())
"""


def racer(target: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RACER, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_of_two_processes_that_make_it_at_once_one_wins_and_both_are_content(tmp_path: Path) -> None:
    target = tmp_path / "16.4"
    racers = [racer(target) for _ in range(2)]
    for process in racers:
        assert process.stdout is not None
        assert process.stdout.readline() == "init\n"
    for process in racers:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    seen = {process.communicate(timeout=60)[0].strip() for process in racers}
    assert [process.returncode for process in racers] == [0, 0]
    assert seen == {(target / "owner").read_text()}
    assert names_in(tmp_path) == ["16.4"]


def test_a_process_killed_in_the_middle_leaves_no_half_template_under_the_name(tmp_path: Path) -> None:
    target = tmp_path / "16.4"
    process = racer(target)
    assert process.stdout is not None
    assert process.stdout.readline() == "init\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert not target.exists()
    ensure_template_dir(target, is_ready, fill)
    assert is_ready(target)


def test_a_process_killed_while_it_installs_does_not_keep_others_from_it(tmp_path: Path) -> None:
    target = tmp_path / "16.4"
    program = """
        import os, sys
        from pathlib import Path
        from doze_sdk.engine import ensure_template_dir

        calls = []

        def is_ready(path):
            calls.append(path)
            if len(calls) == 3:  # inside the lock
                print("installing", flush=True)
                sys.stdin.readline()
            return len(calls) == 2

        ensure_template_dir(Path(sys.argv[1]), is_ready, lambda path: None)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "installing\n"
    process.kill()
    process.communicate(timeout=60)
    ensure_template_dir(target, is_ready, fill)
    assert is_ready(target)


@pytest.fixture
def template(tmp_path: Path) -> Path:
    folder = tmp_path / "template"
    folder.mkdir(mode=0o700)
    fill(folder)
    (folder / "link").symlink_to("base/1")
    (folder / "base" / "1").chmod(0o600)
    return folder


def test_a_clone_has_the_same_files_modes_and_links(template: Path, tmp_path: Path) -> None:
    dest = tmp_path / "clusters" / "app"
    clone_template_dir(template, dest)
    assert contents(dest) == contents(template)
    assert os.readlink(dest / "link") == "base/1"  # noqa: PTH115 - Path.readlink() normalises
    assert (dest / "base" / "1").stat().st_mode & 0o777 == 0o600
    assert dest.stat().st_mode & 0o777 == 0o700
    assert names_in(dest.parent) == ["app"]


def test_a_clone_shares_nothing_with_its_template(template: Path, tmp_path: Path) -> None:
    clone_template_dir(template, tmp_path / "app")
    (tmp_path / "app" / "base" / "1").write_text("changed")
    assert (template / "base" / "1").read_text() == "data"


def test_an_empty_folder_is_cloned_into(template: Path, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    clone_template_dir(template, tmp_path / "app")
    assert is_ready(tmp_path / "app")


def test_a_folder_that_holds_anything_is_not_touched(template: Path, tmp_path: Path) -> None:
    dest = tmp_path / "app"
    dest.mkdir()
    (dest / "precious").write_text("x")
    with pytest.raises(TemplateError, match=r"cloning template into .*app: the folder is not empty"):
        clone_template_dir(template, dest)
    assert contents(dest) == {"precious": "x"}


def test_a_clone_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"(?s)cloning template into .*app: cp exited with code 1\n.*No such file"):
        clone_template_dir(tmp_path / "missing", tmp_path / "app")
    assert names_in(tmp_path) == []


def test_a_machine_without_cp_gets_an_error_of_this_package(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TemplateError, match="cloning template into"):
        clone_template_dir(template, tmp_path / "app")
    assert names_in(tmp_path) == ["template"]


def test_a_clone_killed_in_the_middle_leaves_no_half_clone_under_the_name(template: Path, tmp_path: Path) -> None:
    slow = tmp_path / "bin"
    slow.mkdir()
    (slow / "cp").write_text(
        '#!/bin/sh\nfor last; do :; done\n/bin/mkdir "$last"\necho half > "$last/PG_VERSION"\necho copying\nread line\n'
    )
    (slow / "cp").chmod(0o755)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "import subprocess\n"
        "real = subprocess.run\n"
        "subprocess.run = lambda *a, **k: real(*a, **{**k, 'stdin': None, 'stdout': None})\n"
        "from doze_sdk.engine import clone_template_dir\n"
        "clone_template_dir(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(template), str(tmp_path / "app")],
        env={**os.environ, "PATH": f"{slow}:{os.environ['PATH']}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "copying\n"
    process.kill()
    process.communicate(timeout=60)
    assert not (tmp_path / "app").exists()
    clone_template_dir(template, tmp_path / "app")
    assert contents(tmp_path / "app") == contents(template)
