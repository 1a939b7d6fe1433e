"""What happens until a host and a plugin talk: cookie, versions, checksum, variables, sockets, broker and TLS."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import ipaddress
import os
import socket
import ssl
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import MODES
from .hosts import HostError, Launch

if TYPE_CHECKING:
    from .conftest import Workshop
    from .hosts import Host

BY_HAND = b"""\
This binary is a plugin. These are not meant to be executed directly.
Please execute the program that consumes these plugins, which will
load any plugins automatically
"""


def started(workshop: Workshop, pair: tuple[str, str], *flags: str, launch: Launch | None = None) -> Host:
    host = workshop.host(pair[0])
    host.start(dataclasses.replace(launch or Launch(), command=workshop.plugin(pair[1], *flags)))
    return host


@pytest.mark.parametrize("language", ["go", "python"])
def test_a_plugin_run_by_hand_says_what_it_is_and_exits_with_1(workshop: Workshop, language: str):
    done = subprocess.run(workshop.plugin(language), capture_output=True, check=False, timeout=300)

    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == BY_HAND


def test_a_plugin_with_another_cookie_is_not_started(workshop: Workshop, pair: tuple[str, str]):
    with pytest.raises(HostError):
        started(workshop, pair, launch=Launch(cookie="another"))


@pytest.mark.parametrize(
    ("offered", "spoken", "agreed"), [((1,), "1", 1), ((2, 3), "1,2,3", 3), ((1, 2, 3), "2", 2), ((7, 2), "7,1,2", 7)]
)
def test_the_newest_version_that_both_speak_is_used(
    workshop: Workshop, pair: tuple[str, str], offered: tuple[int, ...], spoken: str, agreed: int
):
    host = workshop.host(pair[0])

    version = host.start(Launch(command=workshop.plugin(pair[1], "--versions", spoken), versions=offered))

    assert version == agreed
    assert host.facts().version == agreed


def test_without_a_common_version_both_hosts_name_the_plugins_lowest_and_their_own(
    workshop: Workshop, pair: tuple[str, str]
):
    workshop.leaves_sockets = pair[0] == "go"

    with pytest.raises(HostError, match=r"(?i)incompatible API version with plugin.*Plugin version: 2.*\b5\b"):
        started(workshop, pair, "--versions", "3,2", launch=Launch(versions=(5,)))


def test_a_program_that_is_no_plugin_is_refused_with_what_it_printed(workshop: Workshop, pair: tuple[str, str]):
    host = workshop.host(pair[0])

    with pytest.raises(HostError, match="hello there"):
        host.start(Launch(command=["echo", "hello there"]))


def test_a_program_that_says_nothing_is_given_up(workshop: Workshop, pair: tuple[str, str]):
    host = workshop.host(pair[0])

    with pytest.raises(HostError, match=r"(?i)timeout|in time|seconds"):
        host.start(Launch(command=["sleep", "100"], start_timeout=0.5))


def test_a_program_that_does_not_exist_is_named(workshop: Workshop, pair: tuple[str, str]):
    with pytest.raises(HostError, match="/nonexistent/plugin"):
        workshop.host(pair[0]).start(Launch(command=["/nonexistent/plugin"]))


def checksum(command: list[str]) -> str:
    return hashlib.sha256(Path(command[0]).read_bytes()).hexdigest()


@pytest.mark.parametrize("host", ["go", "python"])
def test_a_plugin_with_the_known_checksum_is_started(workshop: Workshop, host: str):
    command = workshop.plugin("go")

    started(workshop, (host, "go"), launch=Launch(sha256=checksum(command))).ping()


@pytest.mark.parametrize("host", ["go", "python"])
def test_a_plugin_with_another_checksum_is_not_started(workshop: Workshop, host: str):
    with pytest.raises(HostError, match="checksums did not match"):
        started(workshop, (host, "go"), launch=Launch(sha256="00" * 32))


def test_the_plugin_inherits_the_hosts_variables_unless_told_not_to(
    workshop: Workshop, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ENGINE_ROOM", "warm")
    given = {**workshop.mark, "TMPDIR": str(workshop.sockets), "PATH": os.environ["PATH"], "GIVEN": "ä=1"}

    inheriting = started(workshop, pair, launch=Launch(env={"GIVEN": "ä=1"}))
    other = started(workshop, pair, launch=Launch(env=given, inherit_env=False))

    assert inheriting.facts(["ENGINE_ROOM", "GIVEN"]).variables == {"ENGINE_ROOM": "warm", "GIVEN": "ä=1"}
    assert other.facts(["ENGINE_ROOM", "GIVEN"]).variables == {"GIVEN": "ä=1"}


@pytest.mark.parametrize("mode", MODES)
def test_the_variables_by_which_a_host_talks_do_not_stay_in_our_plugins_environment(workshop: Workshop, mode: str):
    host = started(workshop, ("go", "python"), launch=MODES[mode])
    names = [
        "PLUGIN_CLIENT_CERT",
        "PLUGIN_MULTIPLEX_GRPC",
        "PLUGIN_UNIX_SOCKET_DIR",
        "PLUGIN_UNIX_SOCKET_GROUP",
        "PLUGIN_PROTOCOL_VERSIONS",
        "PLUGIN_MIN_PORT",
        "PLUGIN_MAX_PORT",
        "DOZE_INTEROP_PLUGIN",
    ]

    assert host.facts(names).variables == {}


@pytest.mark.parametrize("mode", MODES)
def test_our_host_does_not_hand_down_the_variables_of_a_host_above_it(
    workshop: Workshop, mode: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PLUGIN_CLIENT_CERT", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv("PLUGIN_MULTIPLEX_GRPC", "true")
    monkeypatch.setenv("PLUGIN_UNIX_SOCKET_DIR", "/nonexistent")
    monkeypatch.setenv("PLUGIN_PROTOCOL_VERSIONS", "99")

    host = started(workshop, ("python", "go"), launch=MODES[mode])

    host.echo(10)
    assert host.upstream(["a"]) == ["host:A"]


@pytest.mark.parametrize("mode", MODES)
def test_our_plugin_can_be_the_host_of_another_one_whatever_its_own_host_asked_for(workshop: Workshop, mode: str):
    host = started(workshop, ("go", "python"), launch=MODES[mode])

    inner = host.nest(workshop.plugin("go"))

    assert inner.language == "go"
    assert inner.pid != host.facts().pid


@pytest.mark.parametrize("mode", MODES)
def test_our_plugin_with_one_thread_for_handlers_still_serves(workshop: Workshop, mode: str):
    host = started(workshop, ("go", "python"), "--workers", "1", launch=MODES[mode])

    host.echo(1000, count=50, concurrency=8)
    assert host.upstream(["a"], times=2) == ["host:A"] * 2
    assert host.offer(["a"], times=2) == ["plugin:A"] * 2
    assert not host.kill().forced


@pytest.mark.parametrize("mode", MODES)
def test_our_plugin_serves_on_tcp(workshop: Workshop, mode: str):
    host = started(workshop, ("go", "python"), "--network", "tcp", launch=MODES[mode])

    host.echo(1 << 20)
    assert host.upstream(["a"]) == ["host:A"]
    assert host.offer(["a"]) == ["plugin:A"]
    address = host.reattachment()["Addr"]
    assert address["Network"] == "tcp"
    assert 10000 <= int(address["String"].rpartition(":")[2]) <= 25000


def test_sockets_belong_to_the_group_that_the_host_names(workshop: Workshop, pair: tuple[str, str]):
    host = started(workshop, pair, launch=Launch(socket_group=str(os.getgid())))

    status = Path(host.reattachment()["Addr"]["String"]).stat()
    assert (status.st_gid, oct(stat.S_IMODE(status.st_mode))) == (os.getgid(), oct(0o660))
    assert host.upstream(["a"]) == ["host:A"]
    assert host.offer(["a"]) == ["plugin:A"]


@pytest.mark.parametrize("plugin", ["go", "python"])
def test_a_plugin_puts_its_sockets_into_the_folder_that_it_is_given(workshop: Workshop, plugin: str, short_dir: Path):
    variables = {"PLUGIN_UNIX_SOCKET_DIR": str(short_dir)}
    host = started(workshop, ("go", plugin), launch=Launch(env=variables))

    assert Path(host.reattachment()["Addr"]["String"]).parent == short_dir
    assert host.offer(["a"]) == ["plugin:A"]


@pytest.mark.parametrize("mode", ["plain", "multiplexed"])
@pytest.mark.parametrize("languages", [("go", "python"), ("python", "go")], ids="-drives-".join)
def test_dialling_a_number_that_nobody_accepted_fails_within_its_time(
    workshop: Workshop, languages: tuple[str, str], mode: str
):
    host = started(workshop, languages, launch=MODES[mode])

    with pytest.raises(HostError, match="time") as caught:
        host.upstream_to(4_000_000_000)

    assert caught.value.code == "Unavailable"
    assert host.upstream(["a"]) == ["host:A"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file of a key and a self-signed certificate for localhost."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_static_tls_works_when_both_sides_have_it(workshop: Workshop, pair: tuple[str, str], certificate: Path):
    host = started(workshop, pair, "--certificate", str(certificate), launch=Launch(root_ca=certificate))

    host.echo(1 << 20)
    host.ping()
    assert not host.kill().forced


def test_a_plugin_without_tls_does_not_serve_a_host_with_it(
    workshop: Workshop, pair: tuple[str, str], certificate: Path
):
    workshop.leaves_sockets = pair[0] == "go"

    with pytest.raises(HostError):
        started(workshop, pair, launch=Launch(root_ca=certificate)).ping()


@pytest.mark.parametrize("intruder", ["plaintext", "no certificate", "another certificate"])
@pytest.mark.parametrize("plugin", ["python", "go"])
def test_under_auto_mtls_whoever_is_not_the_host_gets_no_answer(
    workshop: Workshop, plugin: str, intruder: str, certificate: Path
):
    host = started(workshop, ("go", plugin), launch=Launch(auto_mtls=True))

    assert answer_to(intruder, host.reattachment()["Addr"]["String"], certificate) == b""
    host.echo(10)


@pytest.mark.parametrize("mode", ["multiplexed", "AutoMTLS-multiplexed"])
def test_our_multiplexed_plugin_closes_every_connection_but_the_first(workshop: Workshop, mode: str, certificate: Path):
    host = started(workshop, ("go", "python"), launch=MODES[mode])

    assert answer_to("plaintext", host.reattachment()["Addr"]["String"], certificate) == b""
    host.echo(10)


def answer_to(intruder: str, path: str, certificate: Path) -> bytes:
    """What the socket at `path` says to an HTTP/2 client; nothing if it closes the connection or refuses TLS."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(30)
        plain.connect(path)
        try:
            if intruder == "plaintext":
                plain.sendall(preface)
                return without_alerts(plain.recv(1000))
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
            if intruder == "another certificate":
                context.load_cert_chain(certificate)
            with context.wrap_socket(plain, server_hostname="localhost") as encrypted:
                encrypted.sendall(preface)
                return encrypted.recv(1000)
        except (ConnectionError, ssl.SSLError):
            return b""


def without_alerts(data: bytes) -> bytes:
    """TLS servers may answer plaintext with an alert record, which tells nothing."""
    return b"" if data[:1] == b"\x15" else data
