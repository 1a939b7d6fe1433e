"""What a user installs: the wheel built from the sdist, in the manner of pypa/build's own test."""

import email
import email.policy
import filecmp
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ("sdk/", "tests/", "template/", "examples/", "docs/", "benchmarks/")
TOP = ("CHANGELOG.md", "LICENSE", "Makefile", "README.md", "pyproject.toml", ".gitignore")

# Written into the tree before the build. Each stands for files that a packaging rule must keep, or must leave out.
PROJECT = "template/{{cookiecutter.name}}"
PLANTED = {f"{PROJECT}/uv.lock": 0o644, f"{PROJECT}/planted.sh": 0o755}
LEFT_OUT = ("sdk/__pycache__/planted.pyc", f"{PROJECT}/src/__pycache__/planted.pyc")


@pytest.fixture(scope="module")
def tracked():
    """The files of the checkout that git knows, with whether each is executable."""
    if not (ROOT / ".git").exists():
        pytest.skip(f"{ROOT} is no git checkout, so there is no list of files to compare with")
    listed = subprocess.run(["git", "ls-files", "-z", "--stage"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip(f"git does not list the files of {ROOT}: {listed.stderr.strip()}")
    entries = [entry.partition("\t") for entry in listed.stdout.split("\0") if entry]
    return {name: mode.startswith("100755") for mode, _, name in entries if os.path.lexists(ROOT / name)}


@pytest.fixture(scope="module")
def tree(tracked, tmp_path_factory):
    """A copy of the tracked files, with what the rules of the build are about planted in it."""
    tree = tmp_path_factory.mktemp("tree")
    for name in tracked:
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)
    for name in (*PLANTED, *LEFT_OUT):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("planted\n")
        (tree / name).chmod(PLANTED.get(name, 0o644))
    return tree


@pytest.fixture(scope="module")
def dist(tree, tmp_path_factory):
    """The folder with the sdist and the wheel, which is built from the unpacked sdist."""
    dist = tmp_path_factory.mktemp("dist")
    built = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, tree],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return dist


@pytest.fixture(scope="module")
def sdist(dist):
    with tarfile.open(next(dist.glob("*.tar.gz"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def wheel(dist):
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as archive:
        yield archive


@pytest.fixture(scope="module")
def installed(dist, tmp_path_factory):
    """A fresh environment in which pip installed the wheel; its dependencies come from this environment."""
    environment = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    program = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", program, "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, next(dist.glob("*.whl"))], check=True)
    (packages,) = environment.glob("lib/*/site-packages")
    # A line of a .pth file comes after the environment's own packages, so this doze_sdk is never the one found.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    found = run(program, "-c", "import doze_sdk; print(doze_sdk.__file__)").stdout
    assert found.startswith(str(packages))
    return packages


def run(*command, cwd=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def expected_in_wheel(tracked):
    names = {name for name in (*tracked, *PLANTED) if name.startswith(("sdk/", "template/"))}
    return {
        "doze_sdk/" + name.removeprefix("sdk/") if name.startswith("sdk/") else "doze_sdk/modtool/" + name
        for name in names
    }


def test_the_sdist_holds_the_tracked_files_of_the_shipped_folders(sdist, tracked):
    (top,) = {member.name.partition("/")[0] for member in sdist.getmembers()}
    found = {member.name.removeprefix(f"{top}/") for member in sdist.getmembers() if not member.isdir()}
    expected = {name for name in (*tracked, *PLANTED) if name.startswith(SHIPPED) or name in TOP}
    assert found == expected | {"PKG-INFO"}


def test_the_wheel_holds_the_package_the_template_and_nothing_else(wheel, tracked):
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == expected_in_wheel(tracked)


def test_the_wheels_metadata_is_complete(wheel):
    found = {name.partition(".dist-info/")[2] for name in wheel.namelist() if ".dist-info/" in name}
    assert found == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def test_the_template_keeps_its_modes(wheel, tracked):
    executable = {
        name for name, mode in {**tracked, **{name: mode & 0o100 for name, mode in PLANTED.items()}}.items() if mode
    }
    for entry in wheel.infolist():
        name = entry.filename.removeprefix("doze_sdk/modtool/")
        if name.startswith("template/"):
            assert bool(entry.external_attr >> 16 & 0o100) == (name in executable), name


def test_the_template_keeps_its_bytes(wheel, tree):
    for name in wheel.namelist():
        if name.startswith("doze_sdk/modtool/template/"):
            assert wheel.read(name) == (tree / name.removeprefix("doze_sdk/modtool/")).read_bytes(), name


def test_the_metadata_names_import_licence_and_python(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name), policy=email.policy.default)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Name"] == "doze-sdk"
    assert metadata["Version"] == project["version"]
    assert metadata["Import-Name"] == "doze_sdk"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) >= {"modtool", "enginetest", "mtls"}
    assert "# doze-sdk" in metadata.get_payload()


def test_every_entry_point_names_something_that_is_there(installed):
    (entry_points,) = installed.glob("doze_sdk-*.dist-info/entry_points.txt")
    targets = [line.partition(" = ")[2] for line in entry_points.read_text().splitlines() if " = " in line]
    assert "doze_sdk.modtool.cli:main" in targets
    for target in targets:
        module, _, attribute = target.partition(":")
        found = importlib.import_module(module)
        assert not attribute or callable(getattr(found, attribute))


def test_the_installed_modtool_bakes_a_project_without_compiled_files(installed, tmp_path):
    assert list((installed / "doze_sdk" / "modtool" / "template").rglob("*.pyc"))  # pip compiles the template too
    run(installed.parents[2] / "bin" / "modtool", "new", "httpd", "--no-input", "--output", tmp_path)
    project = tmp_path / "httpd"
    assert not list(project.rglob("__pycache__"))
    assert (project / "src" / "httpd_plugin" / "driver.py").is_file()
    tables = tomllib.loads((project / "pyproject.toml").read_text())
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert tables["project"]["dependencies"] == [f"doze-sdk=={version}"]


def test_plain_cookiecutter_bakes_the_same_from_the_installed_template(installed, tmp_path):
    program = installed.parents[2] / "bin" / "python"
    config = tmp_path / "config.yaml"
    config.write_text(f'replay_dir: "{tmp_path}/replay"\n')
    for folder in ("ours", "plain"):
        (tmp_path / folder).mkdir()
    run(program, "-m", "doze_sdk.modtool", "new", "httpd", "--no-input", "--output", tmp_path / "ours")
    arguments = ["--directory", "template", "--no-input", "--config-file", config, "-o", tmp_path / "plain"]
    run(program, "-m", "cookiecutter", installed / "doze_sdk" / "modtool", *arguments)
    names = [str(path.relative_to(tmp_path / "ours")) for path in (tmp_path / "ours").rglob("*") if path.is_file()]
    assert filecmp.cmpfiles(tmp_path / "ours", tmp_path / "plain", names, shallow=False) == (names, [], [])
    assert not list((tmp_path / "plain").rglob("__pycache__"))


def test_the_folder_of_the_checkout_cannot_be_imported_by_its_own_name():
    done = subprocess.run([sys.executable, "-c", "import sdk"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ImportError: import this package as 'doze_sdk'" in done.stderr


def test_the_link_for_editable_installs_is_tracked_as_a_link(tracked):
    assert "src/doze_sdk" in tracked
    assert (ROOT / "src" / "doze_sdk").is_symlink()
    assert os.readlink(ROOT / "src" / "doze_sdk") == "../sdk"  # noqa: PTH115 - the text of the link is the point
