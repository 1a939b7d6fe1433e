import stat

import pytest

from doze_sdk.host import FolderError, Reaper, make_run_folder


def test_a_run_folder_is_private_and_short():
    with Reaper() as reaper:
        folder = make_run_folder(reaper=reaper)

        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(str(folder)) <= 17

    assert not folder.exists()


def test_a_run_folder_that_cannot_be_made_is_an_error_with_the_parent(tmp_path):
    with pytest.raises(FolderError, match=f"cannot make a folder in {tmp_path}/gone: No such file or directory"):
        make_run_folder(parent=tmp_path / "gone")
