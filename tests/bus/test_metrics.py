"""What publishing and subscribing count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import REGISTRY

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.errors import ConfigurationError, PublishError
from platform_events.metrics import expose_metrics
from platform_events.settings import Settings
from tests.support import ORDER

NAME = "Order_Placed__e"
GOOD, BAD = {"order_id": "1"}, {"order_id": 1}


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"platform_events_{name}", labels) or 0.0


@pytest.fixture
def added(define: Callable[..., None]) -> Callable[[], tuple[float, float, float]]:
    """Give how many events were persisted, not persisted, and timed, since the test began."""
    define(ORDER)
    expose_metrics()

    def read() -> tuple[float, float, float]:
        return (
            value("published_total", event=NAME, outcome="PERSISTED"),
            value("published_total", event=NAME, outcome="NOT_PERSISTED"),
            value("publish_seconds_count", event=NAME),
        )

    before = read()
    return lambda: tuple(now - old for now, old in zip(read(), before, strict=True))  # type: ignore[return-value]


def test_each_way_to_publish_counts_each_event(
    bus: EventBus, added: Callable[[], tuple[float, float, float]]
) -> None:
    bus.publish(NAME, GOOD)
    with pytest.raises(PublishError):
        bus.publish(NAME, BAD)
    assert added() == (1, 1, 2)
    bus.publish_many(NAME, [GOOD] * 700 + [BAD] * 3)
    assert added() == (701, 4, 705)
    assert len(list(bus.publish_iter(NAME, [GOOD] * 10))) == 10
    bus.submit(NAME, GOOD).result()
    assert added() == (712, 4, 716)


def test_the_time_that_a_source_takes_is_not_that_of_publishing(
    bus: EventBus, added: Callable[[], tuple[float, float, float]]
) -> None:
    pause = 3.0

    def source() -> Iterator[dict[str, str]]:
        yield GOOD
        time.sleep(pause)
        yield GOOD

    before = value("publish_seconds_sum", event=NAME)
    bus.publish_many(NAME, source())
    assert added() == (2, 0, 2)
    assert value("publish_seconds_sum", event=NAME) - before < pause


def test_what_is_handed_out_counts_as_delivered(
    bus: EventBus, added: Callable[[], tuple[float, float, float]]
) -> None:
    def delivered() -> float:
        return value("delivered_total", stream=f"/event/{NAME}") - before

    bus.publish_many(NAME, [GOOD] * 1_000)
    before = value("delivered_total", stream=f"/event/{NAME}")
    assert len(list(bus.subscribe(NAME, follow=False))) == 1_000
    assert delivered() == 1_000
    with bus.subscribe(NAME, Start.EARLIEST) as events:
        next(events)
        assert len(events.take(9, 10.0)) == 9
    # What was decoded with them and never handed out does not count.
    assert delivered() == 1_010


def test_a_process_without_the_package_is_told_which_extra_brings_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "platform_events.metrics.exposition", None)
    with pytest.raises(ConfigurationError, match=r"platform-events\[metrics\]"):
        EventBus(settings.model_copy(update={"metrics": True}))
