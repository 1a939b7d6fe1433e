"""What a plugin logs, as its host understands it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .hosts import Launch, eventually

if TYPE_CHECKING:
    from .conftest import Workshop
    from .hosts import Host, Record

HOSTILE_RECORDS = 25
LINES = r"""
plain text
[TRACE] tagged as trace
[DEBUG] tagged as debug
[INFO] tagged as info
[WARN] tagged as warn
[ERROR] tagged as error
{"@level":"warn","@message":"a whole record","@timestamp":"2026-01-02T03:04:05.000006Z","nested":{"a":[1,null]}}
{"@level":"WARN","@message":"a record with a level in capitals","@timestamp":"2026-01-02T03:04:05.000006+01:00"}
{"@level":"error","@message":"a record without a time"}
{"@level":"warning","@message":"a level that hclog does not know"}
{"@level":"critical","@message":"another level that it does not know"}
{"level":"error","msg":"the record of another library"}
{"@level":"error","@message":"half a record
["a list"]
panic: something went wrong
an untagged line after the panic
[INFO] a tagged line after the panic
{"@level":"info","@message":"a record after the panic","@timestamp":"2026-01-02T03:04:05.000006Z"}
"""


def numbered(host: Host) -> dict[int, Record]:
    return {int(record.fields["number"]): record for record in host.seen().records if "number" in record.fields}


def test_no_record_that_an_author_can_log_chokes_a_go_host(workshop: Workshop):
    host = workshop.host("go")

    host.start(Launch(command=workshop.plugin("python", "--hostile-logs")))

    assert eventually(lambda: sorted(numbered(host)) == list(range(HOSTILE_RECORDS))), list(numbered(host))
    assert [record.message for record in host.seen().records if record.message.startswith("{")] == ["{'a': 1}"]
    assert {record.level for record in numbered(host).values()} == {"trace", "debug", "info", "warn", "error"}
    host.ping()


def test_both_hosts_give_a_line_the_same_level(workshop: Workshop):
    script = f"cat >&2 <<'END'\n{LINES.strip()}\nEND\nexec \"$@\""
    command = ["sh", "-c", script, "sh", *workshop.plugin("go")]
    levels = {}
    for language in ("go", "python"):
        host = workshop.host(language)
        host.start(Launch(command=command))
        assert eventually(lambda host=host: any("a record after" in record.message for record in host.seen().records))
        levels[language] = [level_of(line, host.seen().records) for line in LINES.strip().splitlines()]

    assert levels["python"] == levels["go"]


def level_of(line: str, records: list[Record]) -> tuple[str, str]:
    """The line, and the level of the record that was made of it."""
    found = [record.level for record in records if record.message and record.message in line]
    assert len(found) == 1, (line, found)
    return line, found[0]
