"""`platform-events serve` as a process, and what it refuses before it serves."""

from __future__ import annotations

import shlex
import signal
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

import grpc
import pytest

from platform_events.service.certificates import CA_FILE, own_certificate
from platform_events.service.messages import SERVICE, TopicInfo, TopicRequest
from platform_events.settings import Settings
from tests.cli.conftest import Cli, Spawn
from tests.cli.test_route import status_of
from tests.service.guarded import SECRET, Service, add
from tests.service.pubsub import METADATA, PATIENCE, Client
from tests.service.test_soap import PYTHON
from tests.support import ORDER, apply_texts, free_port, free_ports, wait_until

EVENT = "/event/Order_Placed__e"
FREE = tuple(
    word for name in ("grpc", "plaintext", "http", "http-plain") for word in (f"--{name}-port", "0")
)
"""Any free ports."""


def await_ready(process: subprocess.Popen[bytes]) -> dict[str, str]:
    """Return the pairs of the ready line."""
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    assert line.startswith("ready "), line
    return dict(pair.split("=", 1) for pair in shlex.split(line)[1:])


def end(process: subprocess.Popen[bytes]) -> str:
    """End it as Kubernetes does; return what it logged."""
    process.send_signal(signal.SIGTERM)
    rest, said = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, b""), said.decode()
    return said.decode()


@pytest.fixture
def applied(live: Cli, settings: Settings, tmp_path: Path) -> Settings:
    """Where Order_Placed__e exists, in the environment too."""
    apply_texts(settings, tmp_path / "applied", ORDER)
    return settings


def test_it_serves_a_tenant_and_ends_when_it_is_told_to(applied: Settings, spawn: Spawn) -> None:
    process = spawn("serve", *FREE)
    ready = await_ready(process)
    assert list(ready) == ["plaintext", "http"]
    client = Client(ready["plaintext"])
    info = client.ask("GetTopic", TopicRequest(topic_name=EVENT), answer=TopicInfo)
    client.close()
    assert info.can_subscribe
    said = end(process)
    assert "ready" in said
    assert said.splitlines()[-1].endswith("stopped")


def test_it_serves_tls_with_a_certificate_and_names_itself_as_told(
    applied: Settings, spawn: Spawn, tmp_path: Path
) -> None:
    certificate = own_certificate(tmp_path / "tls")
    authority = tmp_path / "tls" / CA_FILE
    process = spawn(
        "serve", *FREE, "--tls-cert", str(certificate.file), "--tls-key",
        str(certificate.key_file), "--public-url", "https://events.example.com/",
    )  # fmt: skip
    ready = await_ready(process)
    assert list(ready) == ["grpc", "plaintext", "http", "https"]
    credentials = grpc.ssl_channel_credentials(authority.read_bytes())
    with grpc.secure_channel(ready["grpc"], credentials) as channel:
        ask = channel.unary_unary(f"/{SERVICE}/GetTopic")
        request = TopicRequest(topic_name=EVENT).SerializeToString()
        answer = TopicInfo.FromString(ask(request, metadata=METADATA, timeout=PATIENCE))
    assert answer.topic_name == EVENT
    body = PYTHON.format(name="me", password="any").encode()
    for server in ("http", "https"):
        with urllib.request.urlopen(
            f"{ready[server]}/services/Soap/u/57.0/",
            body,
            timeout=PATIENCE,
            context=ssl.create_default_context(cafile=authority) if server == "https" else None,
        ) as login:
            assert "<serverUrl>https://events.example.com/services/Soap" in login.read().decode()
    # Whoever speaks no TLS there is no line of the log.
    with grpc.insecure_channel(ready["grpc"]) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary(f"/{SERVICE}/GetTopic")(b"", timeout=PATIENCE)
    said = end(process)
    assert all(" INFO " in line or " WARNING " in line for line in said.splitlines()), said


def test_it_answers_probes_and_is_not_ready_without_kafka(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("PLATFORM_EVENTS_HEALTH_PORT", str(port))
    monkeypatch.setenv("PLATFORM_EVENTS_HEALTH_HOST", "127.0.0.1")
    monkeypatch.setenv("PLATFORM_EVENTS_METRICS", "true")
    process = spawn("serve", *FREE)
    wait_until(lambda: status_of(port, "/livez") == 200)
    assert status_of(port, "/readyz") == 503
    assert status_of(port, "/metrics") == 200
    assert process.stderr is not None
    while b"not ready: BROKER" not in (line := process.stderr.readline()):
        assert line, "it ended"
    end(process)


def test_options_come_from_the_environment(
    applied: Settings, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    plaintext, http = free_ports(2)
    for name, value in {
        "HOST": "localhost", "PLAINTEXT_PORT": plaintext, "HTTP_PLAIN_PORT": http,
        "GRPC_PORT": 0, "HTTP_PORT": 0, "DRAIN_TIMEOUT": 1, "INSECURE": "false", "TLS_CERT": "",
        "TLS_KEY": "", "PUBLIC_URL": "", "PRINCIPALS": "", "TOKEN_KEY": "",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"PLATFORM_EVENTS_SERVE_{name}", str(value))
    process = spawn("serve")
    ready = await_ready(process)
    assert [address.rpartition(":")[2] for address in ready.values()] == [
        str(plaintext), str(http),
    ]  # fmt: skip
    assert "no setting is read" not in end(process)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--host", "0.0.0.0"], 2, "USAGE: --host 0.0.0.0 lets other machines in"),
        (["--host", "::"], 2, "USAGE: --host :: lets other machines in"),
        (["--host", "no.such.host.invalid"], 1, "choose another with --host"),
        (["--host", "0.0.0.0", "--principals", "p"], 2, "in: give --tls-cert and --tls-key, or"),
        (["--principals", "p.yaml"], 1, "SERVICE: p.yaml cannot be read"),
        (["--token-key", "k"], 2, "USAGE: --token-key goes with --principals"),
        (["--tls-cert", "a.pem"], 2, "USAGE: --tls-cert and --tls-key go together"),
        (["--tls-cert", "a.pem", "--tls-key", "b"], 1, "SERVICE: a.pem cannot be read"),
        (["--public-url", "events.example.com"], 2, "is not of the form https://host:port"),
        (["--drain-timeout", "-1"], 2, "--drain-timeout"),
        (["--drain-timeout", "nan"], 2, "--drain-timeout"),
        (["--drain-timeout", "inf"], 2, "--drain-timeout"),
        (["--grpc-port", "70000"], 2, "--grpc-port"),
    ],
)
def test_what_is_wrong_is_said_before_it_serves(
    cli: Cli, arguments: list[str], status: int, says: str
) -> None:
    result = cli("serve", *arguments)
    assert result.exit_code == status
    assert says in result.stderr


def test_principals_and_keys_that_are_wrong_are_said(cli: Cli, tmp_path: Path) -> None:
    file, key = tmp_path / "p.yaml", tmp_path / "k"
    file.write_text("- name: a\n")
    result = cli("serve", "--principals", file)
    assert result.exit_code == 1
    assert f"INVALID_DEFINITIONS: {file}:1:3: [0]: tenant is missing" in result.stderr
    file.write_text("# nobody\n")
    key.write_text("short")
    result = cli("serve", "--principals", file, "--token-key", key)
    assert result.exit_code == 1
    assert f"SERVICE: {key} has 5 bytes" in result.stderr


def test_other_machines_are_served_principals_with_tls(
    applied: Settings, spawn: Spawn, tmp_path: Path
) -> None:
    certificate = own_certificate(tmp_path / "tls")
    principals, key = tmp_path / "principals.yaml", tmp_path / "token.key"
    add(principals, "billing", applied.tenant, "subscribe")
    key.write_bytes(b"k" * 32)
    process = spawn(
        "serve", *FREE, "--host", "0.0.0.0", "--tls-cert", str(certificate.file), "--tls-key",
        str(certificate.key_file), "--principals", str(principals), "--token-key", str(key),
    )  # fmt: skip
    ready = await_ready(process)
    hosts = {server: address.rpartition("/")[2].split(":")[0] for server, address in ready.items()}
    assert hosts == {
        "grpc": "0.0.0.0", "plaintext": "127.0.0.1", "http": "127.0.0.1", "https": "0.0.0.0",
    }  # fmt: skip
    service = Service(ready["plaintext"], ready["http"])
    client = Client(service.grpc)
    carried = service.metadata("billing", applied.tenant)
    info = client.ask("GetTopic", TopicRequest(topic_name=EVENT), carried, TopicInfo)
    assert (info.can_publish, info.can_subscribe) == (False, True)
    with pytest.raises(grpc.RpcError):
        client.ask("GetTopic", TopicRequest(topic_name=EVENT))
    client.close()
    said = end(process)
    assert f"billing of tenant {applied.tenant} logged in from 127.0.0.1" in said
    assert "call from 127.0.0.1 refused" in said
    assert "a key of this process alone" not in said
    assert SECRET not in said
    assert dict(carried)["accesstoken"] not in said


def test_a_port_that_is_taken_is_one_line(spawn: Spawn) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        process = spawn("serve", "--http-plain-port", "0", "--plaintext-port", port)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = said.decode().splitlines()
    assert f"SERVICE: port {port} on 127.0.0.1 cannot be used" in line
    assert line.endswith("choose another with --plaintext-port")
