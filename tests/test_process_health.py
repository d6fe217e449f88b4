"""Whether a process lives, does its work, and how long it bears a refusal."""

from __future__ import annotations

import pytest

from platform_events import process_health
from platform_events.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerTimeoutError,
    BrokerUnreachableError,
    CatalogCorruptError,
    ConfigurationError,
    KafkaFaultError,
    PlatformEventsError,
    ServiceError,
)
from platform_events.process_health import BEATS_WITHIN, REFUSED_FOR, ProcessHealth

REFUSALS = (
    AuthenticationError,
    AuthorizationError,
    CatalogCorruptError,
    ServiceError,
)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(process_health, "time", clock)
    return clock


def test_it_lives_as_long_as_its_loop_comes_round(clock: Clock) -> None:
    health = ProcessHealth()
    clock.now += BEATS_WITHIN - 1
    assert health.is_alive
    clock.now += 1
    assert not health.is_alive
    assert health.loop_age == BEATS_WITHIN
    health.beat()
    assert health.is_alive


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_ends_it_once_it_has_lasted(
    clock: Clock, kind: type[PlatformEventsError]
) -> None:
    health = ProcessHealth()
    refusal = kind("no")
    health.raise_if_refused(refusal)
    clock.now += REFUSED_FOR - 1
    health.raise_if_refused(refusal)
    clock.now += 1
    with pytest.raises(kind, match="no"):
        health.raise_if_refused(refusal)


def test_a_refusal_that_ends_begins_again(clock: Clock) -> None:
    health = ProcessHealth()
    for _ in range(3):
        health.raise_if_refused(AuthorizationError("no"))
        clock.now += REFUSED_FOR - 1
        health.raise_if_refused(None)


@pytest.mark.parametrize(
    "kind", [BrokerUnreachableError, BrokerTimeoutError, KafkaFaultError, ConfigurationError]
)
def test_what_passes_by_itself_is_waited_for(clock: Clock, kind: type[PlatformEventsError]) -> None:
    health = ProcessHealth()
    for _ in range(100):
        health.raise_if_refused(kind("away"))
        clock.now += REFUSED_FOR
