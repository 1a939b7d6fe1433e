import stat
from pathlib import Path

import pytest

from doze_sdk.host import FolderError, Reaper, SocketPathError, check_socket_path, make_run_folder


def test_a_path_at_the_limit_passes():
    check_socket_path(Path("/" + "a" * 106), limit=107)


def test_a_path_over_the_limit_is_refused_with_both_numbers_and_the_hint():
    path = Path("/private/var/" + "a" * 91)
    with pytest.raises(SocketPathError) as caught:
        check_socket_path(path, limit=103, hint="set DOZE_TEST_DIR to a shorter directory")

    assert (caught.value.length, caught.value.limit) == (104, 103)
    assert str(caught.value) == (
        f"the backend socket path is 104 bytes, this system allows 103: {path} "
        "(set DOZE_TEST_DIR to a shorter directory)"
    )


def test_a_path_is_measured_in_bytes():
    with pytest.raises(SocketPathError):
        check_socket_path(Path("/" + "é" * 54), limit=107)


def test_a_run_folder_is_private_and_short():
    with Reaper() as reaper:
        folder = make_run_folder(reaper=reaper)

        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(str(folder)) <= 17

    assert not folder.exists()


def test_a_run_folder_that_cannot_be_made_is_an_error_with_the_parent(tmp_path):
    with pytest.raises(FolderError, match=f"cannot make a folder in {tmp_path}/gone: No such file or directory"):
        make_run_folder(parent=tmp_path / "gone")
