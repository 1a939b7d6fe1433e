import threading
from pathlib import Path

import pytest

from doze_sdk.engine import CancelRegistry, CancelTarget

TARGET = CancelTarget(Path("/run/s"), b"their key")


def test_a_key_stands_for_its_target_until_it_is_forgotten() -> None:
    cancels = CancelRegistry()
    key = cancels.register(TARGET)
    assert cancels.lookup(key) == TARGET
    cancels.unregister(key)
    assert cancels.lookup(key) is None


def test_keys_are_eight_random_bytes() -> None:
    cancels = CancelRegistry()
    keys = {cancels.register(TARGET) for _ in range(1000)}
    assert len(keys) == 1000
    assert {len(key) for key in keys} == {8}


def test_a_key_whose_first_half_is_zero_or_that_is_taken_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([b"\x00\x00\x00\x00abcd", b"abcd\x00\x00\x00\x00", b"abcd\x00\x00\x00\x00", b"\x00\x00\x00\x01wxyz"])
    monkeypatch.setattr("os.urandom", lambda size: next(drawn))
    cancels = CancelRegistry()
    assert cancels.register(TARGET) == b"abcd\x00\x00\x00\x00"
    assert cancels.register(TARGET) == b"\x00\x00\x00\x01wxyz"


def test_an_unknown_key_is_nothing_to_look_up_or_forget() -> None:
    cancels = CancelRegistry()
    assert cancels.lookup(b"12345678") is None
    cancels.unregister(b"12345678")


def test_threads_can_register_and_forget_at_once() -> None:
    cancels = CancelRegistry()
    failures: list[str] = []

    def work(number: int) -> None:
        for turn in range(200):
            target = CancelTarget(Path(f"/run/{number}"), str(turn).encode())
            key = cancels.register(target)
            if cancels.lookup(key) != target:
                failures.append(f"{number}: {turn}")
            cancels.unregister(key)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert failures == []
    assert cancels._targets == {}
