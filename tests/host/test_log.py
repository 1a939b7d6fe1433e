from doze_sdk.host import Follower, LogFile


def test_bytes_that_are_no_utf8_are_replaced(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"caf\xe9\n")

    assert LogFile(path).read() == "caf\ufffd\n"


def test_an_empty_log_says_so(tmp_path):
    path = tmp_path / "log"
    path.touch()

    assert LogFile(path).tail().title == f"empty: {path}"


def test_a_log_that_the_engine_removed_reads_as_empty_in_a_report(tmp_path):
    assert LogFile(tmp_path / "log").tail().lines == ()


def test_a_follower_gives_every_finished_line_once(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    follower = LogFile(path).follow()

    assert list(follower.lines()) == ["one"]
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert list(follower.lines()) == ["two", "three"]
    assert not follower.lines()


def test_a_follower_with_a_limit_gives_the_last_lines(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthree\n")

    assert list(Follower(path, 0, limit=2).lines()) == ["two", "three"]
