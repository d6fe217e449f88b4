"""Long-running commands as processes: they wait, answer probes, and end as they should."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
from pathlib import Path

import pytest

from platform_events import process_health
from platform_events.cli.long_running import answering_probes
from platform_events.errors import ServiceError
from platform_events.process_health import ProcessHealth
from platform_events.settings import Settings
from platform_events.testing import KafkaBroker
from platform_events.testing.tenancy import Tenancy
from tests.channels.test_waiting import EMPTY
from tests.cli.conftest import Cli, Spawn
from tests.service.serving import ask_text
from tests.support import ORDER, free_port, wait_until


def status_of(port: int, path: str) -> int | None:
    """Return the status of an answer, None if nobody listens yet."""
    try:
        return ask_text(f"http://127.0.0.1:{port}{path}")[0]
    except OSError:
        return None


def test_it_waits_for_kafka_and_ends_when_it_is_told_to(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("PLATFORM_EVENTS_HEALTH_PORT", str(port))
    monkeypatch.setenv("PLATFORM_EVENTS_HEALTH_HOST", "127.0.0.1")
    monkeypatch.setenv("PLATFORM_EVENTS_METRICS", "true")
    monkeypatch.setenv("PLATFORM_EVENTS_LOG_FORMAT", "json")
    process = spawn("route")
    wait_until(lambda: status_of(port, "/livez") == 200)
    assert status_of(port, "/readyz") == 503
    assert status_of(port, "/metrics") == 200
    assert process.stderr is not None
    said = []
    while not said or said[-1]["level"] != "warning":
        said.append(json.loads(process.stderr.readline()))
    assert "no Kafka broker answers" in said[-1]["message"]
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(rest.splitlines()[-1])["message"] == "stopped"


def test_a_setting_that_is_wrong_ends_it_at_once(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_HEALTH_PORT", "http")
    _, said = spawn("route").communicate(timeout=60)
    (line,) = said.decode().splitlines()
    assert re.match(r"\S+Z ERROR   CONFIGURATION: setting 'health_port'", line)


class TestPorts:
    def test_one_in_use_is_waited_for(self, caplog: pytest.LogCaptureFixture) -> None:
        stop = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            settings = Settings(health_port=port, health_host="127.0.0.1")
            threading.Timer(0.5, other.close).start()
            with answering_probes(settings, ProcessHealth(), stop):
                assert status_of(port, "/livez") == 200
        assert "PLATFORM_EVENTS_HEALTH_PORT" in caplog.text

    def test_one_that_stays_in_use_ends_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process_health, "REFUSED_FOR", 0.5)
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            settings = Settings(health_port=port, health_host="127.0.0.1")
            with (
                pytest.raises(ServiceError, match="PLATFORM_EVENTS_HEALTH_PORT"),
                answering_probes(settings, ProcessHealth(), threading.Event()),
            ):
                pytest.fail("it listens")

    def test_who_is_stopped_does_not_wait(self) -> None:
        stop = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            settings = Settings(health_port=port, health_host="127.0.0.1")
            threading.Timer(0.2, stop.set).start()
            with answering_probes(settings, ProcessHealth(), stop):
                assert stop.is_set()

    def test_none_is_opened_unless_it_is_asked_for(self) -> None:
        with answering_probes(Settings(), ProcessHealth(), threading.Event()):
            assert not [one for one in threading.enumerate() if one.name == "http"]


class TestApply:
    def test_it_waits_for_kafka(self, spawn: Spawn, kafka_broker: KafkaBroker, tenant: str) -> None:
        Path("schemas").mkdir()
        Path("schemas/Order_Placed__e.yaml").write_text(ORDER)
        with Tenancy(kafka_broker, tenant, EMPTY, is_breakable=True) as tenancy:
            with tenancy.break_broker("refuse"):
                process = spawn("apply", "--wait", "60")
                assert process.stderr is not None
                assert process.stderr.readline().startswith(b"waiting up to 60 s: ")
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert b"created Order_Placed__e" in said

    def test_it_waits_no_longer_than_it_was_told_to(self, cli: Cli) -> None:
        Path("schemas").mkdir()
        Path("schemas/Order_Placed__e.yaml").write_text(ORDER)
        result = cli("apply", "--wait", "3")
        assert result.exit_code == 1
        waiting, failed = result.stderr.splitlines()
        assert waiting.startswith("waiting up to 3 s: ")
        assert failed.startswith("error: BROKER_UNREACHABLE: ")
