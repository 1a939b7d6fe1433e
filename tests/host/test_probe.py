import os
import socket
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.host.proc import is_running

from doze_sdk.engine import Ready, SocketPathError, SpawnPlan, SpawnSpec
from doze_sdk.host import ExitedError, NotReadyError, start
from doze_sdk.host._probe import budget_of

IDLE = SpawnSpec(name="main", bin="/bin/sleep", args=("60",))


def run(logs, ready, spec=IDLE, **options):
    fields = {name: getattr(spec, name) for name in SpawnSpec.__slots__}
    return start(SpawnPlan.single(SpawnSpec(**{**fields, "ready": ready})), log_dir=logs, reaper=None, **options)


def failure(logs, ready, budget=0.1, **options):
    with pytest.raises(NotReadyError) as caught:
        run(logs, ready, budget=budget, **options)
    return caught.value.last_error


@contextmanager
def http_server(*answers):
    """Answer requests in turn, the last answer from then on; an answer is a status or a redirect's location."""
    left = list(answers)
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            answer = left.pop(0) if len(left) > 1 else left[0]
            if answer == "hang":
                time.sleep(1)
                return
            self.send_response(answer if isinstance(answer, int) else 302)
            if not isinstance(answer, int):
                self.send_header("Location", answer)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [200, 204, 299])
def test_http_passes_with_any_status_of_the_two_hundreds(logs, status):
    with http_server(status) as (url, _), run(logs, Ready(kind="http", target=url)) as unit:
        assert unit.exited is None


@pytest.mark.parametrize("status", [304, 400, 404, 500, 503])
def test_http_fails_with_any_other_status(logs, status):
    with http_server(status) as (url, _):
        assert failure(logs, Ready(kind="http", target=url)) == f"GET {url} returned {status}"


def test_http_is_asked_again_until_it_passes(logs):
    with http_server(503, 500, 200) as (url, requests), run(logs, Ready(kind="http", target=url)):
        assert len(requests) == 3


def test_http_follows_redirects(logs):
    with http_server("/a", "/b", 200) as (url, requests), run(logs, Ready(kind="http", target=url + "/health")):
        assert requests == ["/health", "/a", "/b"]


def test_http_makes_ten_requests_and_no_more_along_redirects(logs):
    ready = Ready(kind="http", target="", interval=timedelta(milliseconds=1), retries=1)
    with http_server("/again") as (url, requests):
        failure(logs, Ready(kind="http", target=url, interval=ready.interval, retries=1), budget=0)

    assert len(requests) == 10


def test_http_does_not_use_a_proxy(logs, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with http_server(200) as (url, _), run(logs, Ready(kind="http", target=url)):
        pass


def test_http_that_nobody_answers_fails_with_the_reason(logs):
    assert "Connection refused" in failure(logs, Ready(kind="http", target=f"http://127.0.0.1:{free_port()}/"))


def test_http_that_hangs_is_given_up_after_the_timeout_of_the_probe(logs):
    timeout = timedelta(milliseconds=100)
    with http_server("hang", 200) as (url, requests), run(logs, Ready(kind="http", target=url, timeout=timeout)):
        assert len(requests) == 2


def test_a_process_that_ends_while_http_hangs_is_reported_at_once(logs):
    dying = SpawnSpec(name="main", bin="/bin/sh", args=("-c", "sleep 0.2; exit 5"))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        ready = Ready(kind="http", target=f"http://127.0.0.1:{mute.getsockname()[1]}/", timeout=timedelta(seconds=30))
        with pytest.raises(ExitedError, match="exited with code 5"):
            run(logs, ready, dying)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", ""])
def test_tcp_passes_when_somebody_listens(logs, host):
    with socket.create_server(("127.0.0.1", 0)) as server:
        unit = run(logs, Ready(kind="tcp", target=f"{host}:{server.getsockname()[1]}"))
        unit.stop()


def test_tcp_fails_when_nobody_listens(logs):
    assert failure(logs, Ready(kind="tcp", target=f"127.0.0.1:{free_port()}")) == "Connection refused"


def test_tcp_to_a_name_without_an_address_fails_with_the_reason(logs):
    assert "cannot resolve no-such-host.invalid:80" in failure(
        logs, Ready(kind="tcp", target="no-such-host.invalid:80")
    )


def test_socket_passes_when_somebody_listens(logs, folder, engine):
    path = folder / "s"
    with run(logs, Ready(kind="socket", target=str(path)), engine("echo", path, "--after", "0.1")) as unit:
        assert "ready to accept connections" in unit.log()


def test_socket_that_is_a_mere_left_over_file_fails(logs, folder):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "s"))

    assert failure(logs, Ready(kind="socket", target=str(folder / "s"))) == "Connection refused"


def test_a_relative_socket_lies_in_the_folder_of_the_host(logs, folder):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        server.listen()
        with run(logs, Ready(kind="socket", target="s"), cwd=folder) as unit:
            assert unit.exited is None


def test_a_socket_whose_name_begins_with_an_at_sign_is_abstract(logs):
    name = f"doze-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        with run(logs, Ready(kind="socket", target="@" + name)) as unit:
            assert unit.exited is None


def test_a_socket_path_over_the_limit_is_refused_before_anything_starts(logs, folder):
    target = str(folder / ("s" * 120))

    with pytest.raises(
        SocketPathError, match=f"the backend socket path is {len(target)} bytes, this system allows 107"
    ):
        run(logs, Ready(kind="socket", target=target))

    assert not list(logs.iterdir())


def test_exec_passes_with_exit_code_zero(logs, folder):
    command = f"test -e {folder}/second || {{ touch {folder}/second; false; }}"
    with run(logs, Ready(kind="exec", target=command)) as unit:
        assert unit.exited is None
        assert [path.name for path in logs.iterdir()] == ["main.log"]


def test_exec_fails_with_what_the_command_said(logs):
    assert failure(logs, Ready(kind="exec", target="echo no response; exit 2")) == "exit 2: no response"


def test_exec_runs_in_the_folder_and_environment_of_the_host_and_not_of_the_spec(logs, folder):
    (folder / "spec").mkdir()
    spec = SpawnSpec(name="main", bin="/bin/sleep", args=("60",), dir=folder / "spec", env=("WHO=spec",))
    ready = Ready(kind="exec", target=f'pwd > {folder}/cwd; echo "$WHO" > {folder}/who')

    with run(logs, ready, spec, cwd=folder, environ={"WHO": "host", "PATH": "/usr/bin:/bin"}):
        pass

    assert (folder / "cwd").read_text() == f"{folder}\n"
    assert (folder / "who").read_text() == "host\n"


def test_exec_that_hangs_is_ended_with_all_it_started(logs, folder):
    ready = Ready(kind="exec", target=f"sleep 60 & echo $! > {folder}/pid; wait", timeout=timedelta(milliseconds=200))

    assert failure(logs, ready) == "the command was still running when the probe's timeout was over"
    assert not is_running(int((folder / "pid").read_text()))


def test_a_process_that_ends_while_exec_runs_is_reported_at_once_and_the_command_is_ended(logs, folder):
    dying = SpawnSpec(
        name="main", bin="/bin/sh", args=("-c", f"while ! test -s {folder}/pid; do sleep 0.02; done; exit 5")
    )
    ready = Ready(kind="exec", target=f"echo $$ > {folder}/pid; exec sleep 60", timeout=timedelta(seconds=30))

    with pytest.raises(ExitedError, match="exited with code 5"):
        run(logs, ready, dying)

    assert not is_running(int((folder / "pid").read_text()))


def test_log_line_passes_when_a_line_matches(logs, folder, engine):
    ready = Ready(kind="log_line", target=r"^ready to accept connections$")
    with run(logs, ready, engine("echo", folder / "s", "--after", "0.1")) as unit:
        assert unit.log() == "starting\nready to accept connections\n"


def test_log_line_does_not_see_a_line_that_is_not_finished(logs, engine):
    ready = Ready(kind="log_line", target="database system is ready")

    with pytest.raises(NotReadyError) as caught:
        run(logs, ready, engine("prints_a_partial_line", "database system is ready"), budget=0.3)

    assert caught.value.last_error == "log_line 'database system is ready' not seen yet"
    assert caught.value.excerpt.lines == ("first line", "database system is ready")


def test_log_line_does_not_match_across_lines(logs):
    spec = SpawnSpec(name="main", bin="/bin/sh", args=("-c", r"printf 'ready\nto serve\n'; exec sleep 60"))

    with pytest.raises(NotReadyError):
        run(logs, Ready(kind="log_line", target=r"ready\s+to serve"), spec, budget=0.1)


def test_log_line_keeps_the_carriage_return_of_a_line_as_the_host_does(logs):
    spec = SpawnSpec(name="main", bin="/bin/sh", args=("-c", r"printf 'ready\r\n'; exec sleep 60"))

    with pytest.raises(NotReadyError):
        run(logs, Ready(kind="log_line", target="ready$"), spec, budget=0.1)


def test_log_line_looks_at_the_last_two_hundred_lines_as_the_host_does(logs, folder):
    script = f"mv {folder}/whole {folder}/seen; cat {folder}/seen; exec sleep 60"
    spec = SpawnSpec(name="main", bin="/bin/sh", args=("-c", script))
    for after, found in ((199, True), (200, False)):
        (folder / "whole").write_text("ready\n" + "noise\n" * after)
        ready = Ready(kind="log_line", target="ready")
        if found:
            with run(logs, ready, spec):
                pass
        else:
            with pytest.raises(NotReadyError):
                run(logs, ready, spec, budget=0.3)


def test_log_line_does_not_see_the_log_of_an_earlier_run(logs, engine, folder):
    with run(logs, Ready(kind="log_line", target="ready"), engine("echo", folder / "s")):
        pass

    with pytest.raises(NotReadyError):
        run(logs, Ready(kind="log_line", target="ready"), budget=0.1)


def test_the_budget_is_interval_times_retries():
    ready = Ready(kind="tcp", target="h:1", interval=timedelta(milliseconds=20), retries=15)

    assert budget_of(ready) == pytest.approx(0.3)


def test_values_that_are_not_positive_are_those_of_the_host():
    assert budget_of(Ready(kind="tcp", target="h:1", interval=timedelta(), retries=0)) == 30


def test_the_budget_of_the_probe_holds_where_the_caller_gives_none(logs):
    ready = Ready(kind="exec", target="false", interval=timedelta(milliseconds=50), retries=4)

    with pytest.raises(NotReadyError, match=r"was not ready after 0\.2 s") as caught:
        run(logs, ready)

    assert caught.value.hint == "the probe allows interval x retries = 0.2 s; raise its retries"


def test_a_long_interval_does_not_delay_the_first_success(logs):
    ready = Ready(kind="exec", target="true", interval=timedelta(hours=1), retries=1)

    with run(logs, ready) as unit:
        assert unit.exited is None


def test_a_probe_that_has_begun_may_outlast_the_budget_as_in_the_host(logs):
    with run(logs, Ready(kind="exec", target="sleep 0.3"), budget=0.05) as unit:
        assert unit.exited is None


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
