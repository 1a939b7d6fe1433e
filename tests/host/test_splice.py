import hashlib
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from tests.host.proc import eventually

from doze_sdk.engine import SocketPathError
from doze_sdk.host import ListenError, PortInUseError, Splice


@contextmanager
def backend(path, serve, backlog=128):
    """Run *serve* with each connection to a unix socket, in a thread of its own."""
    threads = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(backlog)

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=run, args=(connection,)))
                threads[-1].start()

        def run(connection):
            with connection:
                serve(connection)

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join(10)


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


def answer_after_the_end(connection):
    received = hashlib.sha256()
    while data := connection.recv(65536):
        received.update(data)
    connection.sendall(received.hexdigest().encode())


@pytest.fixture
def path(folder):
    return folder / "s"


@pytest.fixture
def splice(path):
    with Splice(("127.0.0.1", 0), backend=path) as spliced:
        yield spliced


def dial(splice):
    return socket.create_connection(splice.address, timeout=10)


def read_all(client):
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_bytes_go_there_and_back(splice, path):
    with backend(path, echo), dial(splice) as client:
        client.sendall(b"hello")

        assert client.recv(100) == b"hello"


def test_a_client_may_close_its_half_and_still_read_the_answer(splice, path):
    with backend(path, answer_after_the_end), dial(splice) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)

        assert read_all(client).decode() == hashlib.sha256(b"question").hexdigest()


def test_a_backend_may_close_its_half_and_still_read(splice, path):
    received = []

    def greet(connection):
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        received.append(connection.recv(100))

    with backend(path, greet), dial(splice) as client:
        assert read_all(client) == b"hello"
        client.sendall(b"thanks")

    assert received == [b"thanks"]


def test_a_large_transfer_arrives_whole_in_both_directions(splice, path):
    data = os.urandom(8 << 20)
    with backend(path, echo), dial(splice) as client:
        sender = threading.Thread(target=lambda: (client.sendall(data), client.shutdown(socket.SHUT_WR)))
        sender.start()
        received = read_all(client)
        sender.join()

    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()


def test_a_backend_that_does_not_read_stops_the_client_from_writing(splice, path):
    go_on = threading.Event()

    def dawdle(connection):
        go_on.wait(10)
        answer_after_the_end(connection)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with backend(path, dawdle), dial(splice) as client:
        client.settimeout(0.5)
        sent = hashlib.sha256()
        chunk = b"x" * (1 << 20)
        total = 0
        try:
            while total < 256 << 20:
                count = client.send(chunk)
                sent.update(chunk[:count])
                total += count
        except TimeoutError:
            pass
        assert total < 256 << 20
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB

        go_on.set()
        client.settimeout(10)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).decode() == sent.hexdigest()


def test_one_connection_that_stands_still_does_not_hold_up_another(splice, path):
    with backend(path, echo), dial(splice) as still, dial(splice) as busy:
        still.sendall(b"x" * 1000)
        busy.sendall(b"hello")

        assert busy.recv(100) == b"hello"


def test_many_connections_share_one_thread(splice, path):
    with backend(path, echo, backlog=4):
        clients = [dial(splice) for _ in range(200)]
        for number, client in enumerate(clients):
            client.sendall(str(number).encode())
        answers = [client.recv(100) for client in clients]
        ours = [thread for thread in threading.enumerate() if thread.name.startswith("doze-splice")]
        for client in clients:
            client.close()

    assert answers == [str(number).encode() for number in range(200)]
    assert len(ours) == 1


def test_a_closed_connection_leaves_no_descriptor(splice, path):
    with backend(path, echo):
        before = open_descriptors()
        with dial(splice) as client:
            client.sendall(b"x")
            client.recv(1)
        assert eventually(lambda: open_descriptors() == before)
        for _ in range(20):
            with dial(splice) as client:
                client.sendall(b"x")
                client.recv(1)

        assert eventually(lambda: open_descriptors() == before)


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_client_whose_backend_does_not_answer_is_reset(splice):
    with dial(splice) as client, pytest.raises(ConnectionResetError):
        client.recv(1)


def test_a_client_whose_backend_breaks_off_is_reset(splice, path):
    def break_off(connection):
        connection.recv(1)  # the rest of what the client sent stays unread: closing resets

    with backend(path, break_off), dial(splice) as client:
        client.sendall(b"x" * 1000)
        with pytest.raises(ConnectionResetError):
            read_all(client)


def test_an_answer_arrives_although_the_backend_did_not_read_the_whole_request(splice, path):
    left = threading.Event()

    def refuse(connection):
        connection.sendall(b"413 too large")
        connection.close()
        left.set()

    with backend(path, refuse), dial(splice) as client:
        assert left.wait(10)
        with suppress(ConnectionError):
            client.sendall(b"x" * (1 << 20))

        assert client.recv(100) == b"413 too large"


def test_a_client_that_resets_takes_its_backend_connection_along(splice, path):
    ended = threading.Event()

    def note(connection):
        with suppress(ConnectionResetError):
            read_all(connection)
        ended.set()

    with backend(path, note):
        client = dial(splice)
        client.sendall(b"x")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

        assert ended.wait(10)


def test_clients_that_come_before_it_serves_wait(path):
    with closing(Splice(("127.0.0.1", 0), backend=path)) as splice, dial(splice) as client:
        client.sendall(b"early")
        with backend(path, echo):
            splice.serve()

            assert client.recv(100) == b"early"
            client.close()


def test_a_backend_may_appear_after_the_port(splice, path):
    with backend(path, echo), dial(splice) as client:
        client.sendall(b"x")

        assert client.recv(1) == b"x"


def test_closing_breaks_off_what_is_open_and_frees_the_port(path):
    with backend(path, echo):
        splice = Splice(("127.0.0.1", 0), backend=path)
        splice.serve()
        port = splice.port
        client = dial(splice)
        client.sendall(b"x")
        client.recv(1)

        splice.close()
        splice.close()

        with client, pytest.raises(ConnectionResetError):
            client.recv(1)
        with Splice(("127.0.0.1", port), backend=path) as again:
            assert again.port == port


def test_a_port_in_use_is_refused_with_its_number_and_its_holder(path):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            Splice(("127.0.0.1", port), backend=path)

    assert caught.value.port == port
    assert f"port {port} on 127.0.0.1 is in use by process {os.getpid()} (" in str(caught.value)
    assert str(caught.value).endswith("); stop it or choose another port")


def test_a_holder_whose_command_line_has_control_characters_stays_within_the_sentence(path):
    code = "# \x1b[2J \u202e \u00e9\nfrom socket import *\nl = create_server(('127.0.0.1', 0))\n"
    code += "print(l.getsockname()[1], flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        port = int(holder.stdout.readline())
        with pytest.raises(PortInUseError) as caught:
            Splice(("127.0.0.1", port), backend=path)
        holder.communicate(b"\n")

    assert f"by process {holder.pid} (" in str(caught.value)
    assert "-c # \\x1b[2J \\u202e \u00e9\\nfrom socket import" in str(caught.value)


def test_a_holder_that_cannot_be_seen_is_described_by_the_way_to_find_it():
    assert str(PortInUseError("127.0.0.1", 80, "")) == (
        "port 80 on 127.0.0.1 is in use by another program (`ss -ltnp 'sport = :80'` as root shows which); "
        "stop it or choose another port"
    )


def test_an_address_of_another_machine_is_refused(path):
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:8080: "):
        Splice(("192.0.2.1", 8080), backend=path)


def test_a_name_without_an_address_is_refused(path):
    with pytest.raises(ListenError, match=r"cannot listen on no-such-host\.invalid:8080: "):
        Splice(("no-such-host.invalid", 8080), backend=path)


def test_a_backend_path_over_the_limit_is_refused_before_the_port_is_taken(folder):
    with pytest.raises(SocketPathError):
        Splice(("127.0.0.1", 0), backend=folder / ("s" * 120))
