import os
import subprocess
import sys
from pathlib import Path

import pytest

from doze_sdk.engine import LockedError, clear_stale_lock


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "engine.pid"


@pytest.fixture(scope="module")
def dead() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_missing_file_is_fine(lock: Path) -> None:
    clear_stale_lock("postgres", lock)


def test_the_lock_of_a_dead_process_is_removed(lock: Path, dead: int) -> None:
    lock.write_text(f"{dead}\n/data\n5432\n")
    clear_stale_lock("postgres", lock)
    assert not lock.exists()


@pytest.mark.parametrize("form", ["{}", "{}\n", " {} \r\nmore", "+{}", "-{}\n"])
def test_the_lock_of_a_living_process_is_kept_and_the_text_says_what_to_do(lock: Path, form: str) -> None:
    lock.write_text(form.format(os.getpid()))
    with pytest.raises(LockedError) as caught:
        clear_stale_lock("postgres", lock)
    assert lock.exists()
    assert str(caught.value) == (
        f"postgres appears to already be running (pid {os.getpid()}); remove {lock} if you are sure it is not"
    )


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"no number", b"0", b"1.5", b"\xff\xfe", b"9" * 19, b"9" * 5000, "\u0661".encode(), b"1 2"]
)
def test_a_first_line_that_names_no_process_is_stale(lock: Path, content: bytes) -> None:
    lock.write_bytes(content)
    clear_stale_lock("postgres", lock)
    assert not lock.exists()


def test_a_process_of_another_user_is_alive(lock: Path) -> None:
    """The kernel refuses the signal (EPERM), and that is no sign of death."""
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from doze_sdk.engine import LockedError, clear_stale_lock\n"
        "lock = Path(sys.argv[1])\n"
        "lock.read_text(encoding='ascii')  # nobody may be unable to load the codec\n"
        "if os.geteuid() == 0:\n"
        "    os.setgroups([])\n"
        "    os.setuid(65534)\n"
        "try:\n"
        "    os.kill(1, 0)\n"
        "except PermissionError:\n"
        "    print('not ours')\n"
        "try:\n"
        "    clear_stale_lock('postgres', lock)\n"
        "except LockedError:\n"
        "    print('alive')\n"
    )
    # Process 1 belongs to root; as root the child becomes nobody, who may not signal it either.
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, b"1\n")
        run = subprocess.run(
            [sys.executable, "-c", program, f"/dev/fd/{descriptor}"],
            pass_fds=[descriptor],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(descriptor)
    if "not ours" not in run.stdout:
        pytest.skip("process 1 belongs to this account; needs root to become another")
    assert run.stdout == "not ours\nalive\n", run.stderr
    assert lock.exists()
