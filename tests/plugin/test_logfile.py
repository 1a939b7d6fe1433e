from __future__ import annotations

import fcntl
import logging
import os
import re
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from doze_sdk.plugin import _logfile
from doze_sdk.plugin._logfile import LogFile

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("DOZE_HOME", str(folder))
    return folder


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    log = logging.Logger("driver")  # noqa: LOG001 - one that no other handler hears
    yield log
    for handler in log.handlers:
        handler.close()


def attach(logger: logging.Logger, **options: int) -> LogFile:
    handler = LogFile("httpd", **options)
    logger.addHandler(handler)
    return handler


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_is_made_before_the_first_record(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    assert not home.exists()
    logger.info("hello")
    assert (home / "logs" / "httpd.log").exists()


def test_a_record_has_time_level_process_logger_and_message(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    logger.warning("served %d pages", 3)
    line = (home / "logs" / "httpd.log").read_text()
    assert re.fullmatch(
        rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}[+-]\d{{4}} WARNING \[{os.getpid()}\] driver: served 3 pages\n",
        line,
    )


def test_a_traceback_follows_its_record(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    try:
        raise LookupError("no page")
    except LookupError:
        logger.exception("failed")
    text = (home / "logs" / "httpd.log").read_text()
    assert "driver: failed\nTraceback (most recent call last):\n" in text
    assert text.endswith("LookupError: no page\n")


def test_folder_and_file_are_private(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    before = os.umask(0)
    try:
        logger.info("hello")
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "logs").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "logs" / "httpd.log").stat().st_mode) == 0o600


def test_the_home_is_read_at_the_first_record(
    tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOZE_HOME", str(tmp_path / "early"))
    attach(logger)
    monkeypatch.setenv("DOZE_HOME", str(tmp_path / "late"))
    logger.info("hello")
    assert names_in(tmp_path) == ["late"]


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_home_the_default_is_below_the_users(
    tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("DOZE_HOME", raising=False)
    else:
        monkeypatch.setenv("DOZE_HOME", value)
    attach(logger)
    logger.info("hello")
    assert (tmp_path / ".doze" / "logs" / "httpd.log").exists()


def test_a_relative_home_stays_where_it_was(
    tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOZE_HOME", "home")
    attach(logger, size=10)
    logger.info("hello")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    logger.info("hello")
    assert names_in(tmp_path / "home" / "logs") == ["httpd.log", "httpd.log.1"]


def test_a_full_file_is_put_aside_and_three_old_ones_are_kept(home: Path, logger: logging.Logger) -> None:
    attach(logger, size=100)
    for number in range(10):
        logger.info("record %d %s", number, "x" * 60)
    names = names_in(home / "logs")
    assert names == ["httpd.log", "httpd.log.1", "httpd.log.2", "httpd.log.3"]
    assert [re.findall(r"record (\d)", (home / "logs" / name).read_text()) for name in names] == [
        ["9"],
        ["8"],
        ["7"],
        ["6"],
    ]


def test_a_file_is_put_aside_at_one_mebibyte(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    for _ in range(11):
        logger.info("x" * 100_000)
    assert (home / "logs" / "httpd.log.1").stat().st_size <= 1024 * 1024
    assert (home / "logs" / "httpd.log").stat().st_size < 200_000


def test_a_record_of_any_size_is_bounded(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    logger.info("x" * 2_000_000)
    text = (home / "logs" / "httpd.log").read_text()
    assert len(text) < 300_000
    assert re.search(r"the record had 2000\d\d\d bytes\)\n$", text)


def test_a_record_is_cut_between_characters(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    logger.info("x%s", "é" * 200_000)
    logger.info("é%s", "é" * 200_000)

    assert (home / "logs" / "httpd.log").read_bytes().decode().count("the record had") == 2


def test_a_file_that_another_process_put_aside_is_opened_anew(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    logger.info("first")
    log = home / "logs" / "httpd.log"
    log.rename(log.with_name("httpd.log.1"))
    logger.info("second")
    assert log.read_text().endswith("driver: second\n")


def test_while_another_process_puts_the_file_aside_records_go_on_into_it(home: Path, logger: logging.Logger) -> None:
    attach(logger, size=100)
    logger.info("x" * 90)
    log = home / "logs" / "httpd.log"
    with log.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        logger.info("during")
        assert names_in(log.parent) == ["httpd.log"]
    logger.info("after")
    assert log.with_name("httpd.log.1").read_text().endswith("driver: during\n")
    assert log.read_text().endswith("driver: after\n")


def test_a_file_that_was_put_aside_just_before_the_lock_is_not_put_aside_again(
    home: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach(logger, size=100)
    logger.info("x" * 90)
    log = home / "logs" / "httpd.log"
    flock = fcntl.flock

    def another_is_faster(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX:
            log.rename(log.with_name("httpd.log.1"))
            log.write_text("theirs\n")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", another_is_faster)
    logger.info("ours")
    assert names_in(log.parent) == ["httpd.log", "httpd.log.1"]
    assert log.read_text().startswith("theirs\n")
    assert log.read_text().endswith("driver: ours\n")


def test_a_removed_folder_is_made_again(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    logger.info("first")
    log = home / "logs" / "httpd.log"
    log.unlink()
    log.parent.rmdir()
    logger.info("second")
    assert log.read_text().endswith("driver: second\n")


def test_an_unwritable_home_is_noted_once_and_the_caller_goes_on(
    tmp_path: Path, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("DOZE_HOME", str(blocked))
    attach(logger)
    logger.info("first")
    logger.info("second")
    assert [record.getMessage() for record in caplog.records] == [
        f"the log file {blocked}/logs/httpd.log is off: File exists"
    ]
    assert blocked.read_text() == "not a folder"


def test_a_home_of_another_user_is_noted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    program = (
        "import logging, os, sys\n"
        "from doze_sdk.plugin import _logfile\n"
        "log = logging.getLogger('driver')\n"
        "logging.basicConfig(format='%(message)s', stream=sys.stdout)\n"
        "_logfile.install('httpd')\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([])\n"
        "    os.setuid(65534)\n"
        "log.warning('first')\n"
        "log.warning('second')\n"
    )
    # Root writes everywhere, so it becomes nobody, who cannot enter pytest's private folder.
    run = run_python(program, DOZE_HOME=str(home))
    note = f"the log file {home}/logs/httpd.log is off: Permission denied"
    assert run.stdout.splitlines() in (["first", note, "second"], [note, "first", "second"])
    assert run.stderr == ""


def test_without_any_home_the_file_is_off(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOZE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    handler = attach(logger)
    logger.info("hello")
    assert handler._disabled


def test_a_full_disk_loses_records_and_nothing_else(
    home: Path, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, a device without space")
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "httpd.log").symlink_to("/dev/full")
    attach(logger)
    logger.info("first")
    logger.info("second")
    assert [record.getMessage() for record in caplog.records] == [
        f"the log file {home}/logs/httpd.log misses records: No space left on device"
    ]


def test_a_record_that_cannot_be_formatted_does_not_raise(
    home: Path, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(logger)
    logger.info("%d", "three")
    logger.info("good")
    assert "driver: good" in (home / "logs" / "httpd.log").read_text()
    assert "TypeError" in capsys.readouterr().err


def test_a_text_with_lone_surrogates_is_written(home: Path, logger: logging.Logger) -> None:
    attach(logger)
    logger.info("caf\udce9")
    assert (home / "logs" / "httpd.log").read_text().endswith("caf\\udce9\n")


WRITER = """
import logging, sys
from doze_sdk.plugin._logfile import LogFile
log = logging.getLogger("writer")
log.propagate = False
log.setLevel(logging.INFO)
log.addHandler(LogFile("httpd", size=20_000, kept=200))
who = sys.argv[1]
print(flush=True)
sys.stdin.readline()
for number in range(1500):
    log.info("%s-%d-%s|", who, number, "x" * (number % 50))
"""


def test_processes_that_write_at_once_lose_and_mix_nothing(home: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        writer.communicate("go\n", timeout=60)
        assert writer.returncode == 0
    files = list((home / "logs").iterdir())
    assert len(files) > 10
    lines = [line for file in files for line in file.read_text().splitlines()]
    records = [re.fullmatch(r"\S+ INFO \[\d+\] writer: (\d-\d+)-(x*)\|", line) for line in lines]
    assert all(records)
    assert sorted(match[1] for match in records if match) == sorted(f"{w}-{n}" for w in range(4) for n in range(1500))
    # Four writers may each add a record or two between the look at the size and the write.
    assert max(file.stat().st_size for file in files) < 22_000


def test_a_forked_child_does_not_share_its_parents_lock(home: Path) -> None:
    program = (
        "import fcntl, logging, os\n"
        "from doze_sdk.plugin._logfile import LogFile\n"
        "handler = LogFile('httpd', size=100)\n"
        "log = logging.getLogger('driver')\n"
        "log.addHandler(handler)\n"
        "log.error('x' * 90)\n"
        "fcntl.flock(handler._descriptor, fcntl.LOCK_EX)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    log.error('child')\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    run_python(program, DOZE_HOME=str(home))
    assert names_in(home / "logs") == ["httpd.log"]
    assert (home / "logs" / "httpd.log").read_text().endswith("driver: child\n")


def test_install_writes_what_the_root_logger_gets(home: Path) -> None:
    handler = _logfile.install("valkey")
    try:
        logging.getLogger("anything").warning("seen")
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert (home / "logs" / "valkey.log").read_text().endswith("anything: seen\n")


def test_importing_it_loads_nothing_that_logging_has_not_loaded() -> None:
    program = (
        "import sys, logging, doze_sdk.plugin\n"
        "before = set(sys.modules)\n"
        "import doze_sdk.plugin._logfile\n"
        "print(sorted(set(sys.modules) - before))\n"
    )
    assert run_python(program).stdout.strip() == "['doze_sdk.plugin._logfile', 'fcntl']"


def run_python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, **environment},
            timeout=60,
            check=False,
        )
    assert run.returncode == 0, run.stderr
    return run
