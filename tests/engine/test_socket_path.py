import os
import socket
import sys
from pathlib import Path

import pytest

from doze_sdk.engine import SOCKET_PATH_LIMIT, SocketPathError, check_socket_path


def test_the_limit_is_what_this_system_binds(short_dir: Path) -> None:
    longest = short_dir / ("x" * (SOCKET_PATH_LIMIT - len(os.fsencode(short_dir)) - 1))
    check_socket_path(longest)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(longest))
    with socket.socket(socket.AF_UNIX) as listener, pytest.raises(OSError, match="too long"):
        listener.bind(f"{longest}x")


def test_the_limit_is_107_bytes_on_linux_and_103_on_macos() -> None:
    assert {"linux": 107, "darwin": 103}[sys.platform] == SOCKET_PATH_LIMIT


def test_a_path_one_byte_too_long_is_refused_with_both_numbers_and_what_to_shorten() -> None:
    path = Path("/" + "x" * SOCKET_PATH_LIMIT)
    with pytest.raises(SocketPathError) as caught:
        check_socket_path(path)
    text = str(caught.value)
    assert f"{SOCKET_PATH_LIMIT + 1} bytes" in text
    assert f"allows {SOCKET_PATH_LIMIT}" in text
    assert str(path) in text
    assert "shorten DOZE_HOME" in text


def test_the_hint_of_the_caller_ends_the_text() -> None:
    with pytest.raises(SocketPathError) as caught:
        check_socket_path(Path("/private/var/" + "a" * 91), limit=103, hint="set DOZE_TEST_DIR to a shorter directory")
    assert str(caught.value).endswith(" (set DOZE_TEST_DIR to a shorter directory)")


def test_encoded_bytes_count() -> None:
    with pytest.raises(SocketPathError) as caught:
        check_socket_path(Path("/" + "é" * 60))
    assert caught.value.length == 121


def test_another_systems_limit_can_be_asked_for() -> None:
    with pytest.raises(SocketPathError, match="is 104 bytes, this system allows 103"):
        check_socket_path(Path("/" + "x" * 103), limit=103)
