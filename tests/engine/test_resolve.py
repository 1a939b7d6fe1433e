from pathlib import Path

import pytest

from doze_sdk.engine import (
    Fetched,
    Lock,
    LockEntry,
    Mirror,
    NoMirror,
    Pin,
    Platform,
    Toolchain,
    ToolchainError,
    Version,
    exact_dots,
    resolve_via,
)

LINUX = Platform(os="linux", arch="amd64", triple="x86_64-unknown-linux-gnu")
MAC = Platform(os="darwin", arch="arm64", triple="aarch64-apple-darwin")


class Shelf(Mirror):
    """A mirror on which everything lies, and that notes what it was asked."""

    def __init__(self, *, digest: str = "sha256:aa") -> None:
        self.asked: list[tuple[str, ...]] = []
        self._digest = digest

    def resolve_major(self, engine: str, major: str) -> str:
        self.asked.append(("major", engine, major))
        return f"{major}.9"

    def ensure(self, engine: str, full: str, platform: Platform, expected: str = "") -> Fetched:
        self.asked.append(("ensure", engine, full, platform.triple, expected))
        return Fetched(Path(f"/cache/{engine}/{full}/bin"), self._digest)


def entry(spec: str, resolved: str, **hashes: str) -> LockEntry:
    return LockEntry(engine="postgres", spec=spec, pin=Pin(resolved=resolved, source="mirror", hashes=hashes))


def test_a_lock_gives_the_pin_of_engine_and_declared_version() -> None:
    lock = Lock([entry("16", "16.4"), entry("17", "17.1")])
    pin = lock.get("postgres", "17")
    assert pin is not None
    assert pin.resolved == "17.1"
    assert lock.get("postgres", "18") is None
    assert lock.get("valkey", "17") is None


def test_a_row_without_a_resolved_version_is_no_pin() -> None:
    assert Lock([entry("16", "")]).get("postgres", "16") is None


def test_what_came_with_the_call_is_not_recorded() -> None:
    assert Lock([entry("16", "16.4")]).recorded == ()


def test_the_same_resolved_version_merges_hashes() -> None:
    lock = Lock([entry("16", "16.4", linux="sha256:aa", mac="sha256:old")])
    lock.record("postgres", "16", Pin(resolved="16.4", source="mirror", hashes={"mac": "sha256:bb"}))
    merged = Pin(resolved="16.4", source="mirror", hashes={"linux": "sha256:aa", "mac": "sha256:bb"})
    assert lock.get("postgres", "16") == merged
    assert lock.recorded == (LockEntry(engine="postgres", spec="16", pin=merged),)


def test_another_resolved_version_replaces_the_pin() -> None:
    lock = Lock([entry("16", "16.4", linux="sha256:aa")])
    lock.record("postgres", "16", Pin(resolved="16.5", hashes={"mac": "sha256:bb"}))
    assert lock.get("postgres", "16") == Pin(resolved="16.5", hashes={"mac": "sha256:bb"})


def test_a_pin_without_source_keeps_the_known_one() -> None:
    lock = Lock([entry("16", "16.4")])
    lock.record("postgres", "16", Pin(resolved="16.4"))
    assert lock.recorded[0].pin.source == "mirror"


def test_rows_are_recorded_in_order_and_once_each() -> None:
    lock = Lock()
    lock.record("ferretdb", "2", Pin(resolved="2.1"))
    lock.record("documentdb", "2", Pin(resolved="0.106"))
    lock.record("ferretdb", "2", Pin(resolved="2.1", hashes={"linux": "sha256:aa"}))
    assert [(row.engine, row.pin.resolved, dict(row.pin.hashes)) for row in lock.recorded] == [
        ("ferretdb", "2.1", {"linux": "sha256:aa"}),
        ("documentdb", "0.106", {}),
    ]


def test_all_rows_are_those_that_came_and_those_recorded() -> None:
    lock = Lock([entry("16", "16.4")])
    lock.record("postgres", "17", Pin(resolved="17.1"))
    assert [(row.spec, row.pin.resolved) for row in lock.entries] == [("16", "16.4"), ("17", "17.1")]


def test_recording_changes_no_row_of_the_caller() -> None:
    row = entry("16", "16.4", linux="sha256:aa")
    Lock([row]).record("postgres", "16", Pin(resolved="16.4", hashes={"mac": "sha256:bb"}))
    assert row == entry("16", "16.4", linux="sha256:aa")


def test_a_pin_decides_the_version_and_the_expected_hash() -> None:
    lock = Lock([entry("16", "16.4", **{LINUX.triple: "sha256:aa"})])
    mirror = Shelf()
    toolchain = resolve_via("postgres", Version("16"), LINUX, lock, mirror, is_exact=exact_dots(1))
    assert toolchain == Toolchain(engine="postgres", full="16.4", bin_dir=Path("/cache/postgres/16.4/bin"))
    assert mirror.asked == [("ensure", "postgres", "16.4", LINUX.triple, "sha256:aa")]


def test_a_pin_of_another_machine_decides_the_version_alone_and_its_hash_stays() -> None:
    lock = Lock([entry("16", "16.4", **{LINUX.triple: "sha256:bb"})])
    mirror = Shelf()
    resolve_via("postgres", Version("16"), MAC, lock, mirror, is_exact=exact_dots(1))
    assert mirror.asked == [("ensure", "postgres", "16.4", MAC.triple, "")]
    assert lock.recorded[0].pin.hashes == {LINUX.triple: "sha256:bb", MAC.triple: "sha256:aa"}


def test_an_exact_version_is_taken_as_it_is() -> None:
    mirror = Shelf()
    lock = Lock()
    resolve_via("postgres", Version("16.4"), LINUX, lock, mirror, is_exact=exact_dots(1))
    assert mirror.asked == [("ensure", "postgres", "16.4", LINUX.triple, "")]
    pin = Pin(resolved="16.4", source="mirror", hashes={LINUX.triple: "sha256:aa"})
    assert lock.recorded == (LockEntry(engine="postgres", spec="16.4", pin=pin),)
    assert type(lock.recorded[0].pin.resolved) is str


def test_a_major_is_resolved_by_the_mirror() -> None:
    mirror = Shelf()
    toolchain = resolve_via("valkey", Version("8.0"), LINUX, Lock(), mirror, is_exact=exact_dots(2))
    assert toolchain.full == "8.0.9"
    assert mirror.asked[0] == ("major", "valkey", "8.0")


def test_binaries_without_a_known_hash_make_a_pin_without_one() -> None:
    lock = Lock()
    resolve_via("postgres", Version("16.4"), LINUX, lock, Shelf(digest=""), is_exact=exact_dots(1))
    assert lock.recorded[0].pin == Pin(resolved="16.4", source="mirror")


def test_a_mirror_that_refuses_records_nothing() -> None:
    lock = Lock()
    with pytest.raises(ToolchainError, match=r"fetching postgres 16\.4: .*set DOZE_POSTGRES_BINDIR to the folder"):
        resolve_via("postgres", Version("16.4"), LINUX, lock, NoMirror(), is_exact=exact_dots(1))
    with pytest.raises(ToolchainError, match="fetching postgres 16: "):
        resolve_via("postgres", Version("16"), LINUX, lock, NoMirror(), is_exact=exact_dots(1))
    assert lock.recorded == ()
