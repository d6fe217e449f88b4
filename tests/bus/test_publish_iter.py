"""`publish_iter`: results as a stream, in order and in bounded memory."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest

from platform_events.bus.aio import AsyncEventBus
from platform_events.bus.bus import EventBus
from platform_events.bus.values import EventMessage, PublishStatus
from platform_events.errors import ClosedError, UnknownStreamError, UsageError
from platform_events.settings import Settings

EVENT = "Order_Placed__e"
PERSISTED = PublishStatus.PERSISTED
NOT_PERSISTED = PublishStatus.NOT_PERSISTED


class SourceError(Exception):
    """Raised by the user's own code."""


def messages(count: int) -> Iterator[EventMessage]:
    return (EventMessage({"order_id": f"A-{n}"}, event_id=str(n)) for n in range(count))


def failing(count: int) -> Iterator[EventMessage]:
    yield from messages(count)
    raise SourceError("the file ends here")


@pytest.mark.usefixtures("bus")
def test_results_come_in_order_while_payloads_are_taken(settings: Settings) -> None:
    """Endless payloads: what is taken is never more than the buffer ahead of what is given."""
    room, size = 200_000, 1_000
    taken = 0

    def payloads() -> Iterator[dict[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"order_id": "x" * size}

    with EventBus(settings.model_copy(update={"publish_buffer": room})) as bus:
        given, ahead = [], []
        for result in itertools.islice(bus.publish_iter(EVENT, payloads()), 3_000):
            given.append(result.replay_id)
            ahead.append(taken - len(given))
        # Besides the buffer, what settles between two looks at deliveries.
        assert max(ahead) < room / size + 512
        stored = bus.subscribe(EVENT, follow=False)
        assert [event.replay_id for event in itertools.islice(stored, 3_000)] == given


def test_a_bad_payload_has_its_result_and_stops_no_other(bus: EventBus) -> None:
    payloads: list[Any] = [{"order_id": "A"}, {"order_id": 5}, {"order_id": "B"}]
    results = list(bus.publish_iter(EVENT, payloads, headers={"own": "1"}))
    assert [result.status for result in results] == [PERSISTED, NOT_PERSISTED, PERSISTED]
    read = list(bus.subscribe(EVENT, follow=False))
    assert [(one.payload["order_id"], one.headers) for one in read] == [
        ("A", {"own": b"1"}), ("B", {"own": b"1"}),
    ]  # fmt: skip


def test_a_source_that_raises_gives_the_results_of_what_was_sent_and_then_its_error(
    bus: EventBus,
) -> None:
    results = bus.publish_iter(EVENT, failing(700))
    given = []
    with pytest.raises(SourceError, match="the file ends here") as caught:
        given.extend(results)
    assert [result.event_id for result in given] == [str(number) for number in range(700)]
    assert not hasattr(caught.value, "publish_results")


def test_whoever_stops_asking_stops_it(bus: EventBus) -> None:
    source = messages(100_000)
    results = bus.publish_iter(EVENT, source)
    assert next(results).event_id == "0"
    del results
    left = sum(1 for _ in source)
    assert left > 90_000


@pytest.mark.parametrize(
    ("event", "error"), [("Order_Place__e", UnknownStreamError), ("a b", UsageError)]
)
def test_a_mistake_of_the_call_raises_before_a_payload_is_taken(
    bus: EventBus, event: str, error: type[Exception]
) -> None:
    source = messages(1)
    with pytest.raises(error):
        bus.publish_iter(event, source)
    assert len(list(source)) == 1


def test_a_bus_that_is_closed_meanwhile_ends_it_after_the_results(bus: EventBus) -> None:
    """Also with payloads without end."""
    results = bus.publish_iter(EVENT, ({"order_id": str(n)} for n in itertools.count()))
    first = next(results)
    bus.close()
    given = [first]
    with pytest.raises(ClosedError):
        given.extend(results)
    assert {result.status for result in given} == {PERSISTED}
    with pytest.raises(ClosedError):
        bus.publish_iter(EVENT, messages(1))


def test_refused_payloads_that_wait_for_the_first_event_are_bounded(
    bus: EventBus, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have their results, and no room in a buffer, while the first has none."""
    taken = 0

    def payloads() -> Iterator[dict[str, Any]]:
        nonlocal taken
        yield {"order_id": "A"}
        while True:
            taken += 1
            yield {"order_id": 5}

    small = settings.model_copy(update={"publish_buffer": 600 * 1_000})
    with EventBus(small) as own:
        own.publish(EVENT, {"order_id": "first"})
        producer = own.publishing()._producer
        monkeypatch.setattr(producer, "serve", lambda: None)
        results = own.publish_iter(EVENT, payloads())
        assert next(results).status is PERSISTED
        assert taken < 2_000
        results.close()


def test_asyncio(bus: EventBus, settings: Settings) -> None:
    async def run() -> list[str]:
        async with AsyncEventBus(settings) as events:
            with pytest.raises(UnknownStreamError):
                await anext(events.publish_iter("Order_Place__e", messages(1)))
            given = []
            try:
                async for result in events.publish_iter(EVENT, failing(700)):
                    given.append(result.event_id)  # noqa: PERF401
            except SourceError:
                return given
        raise AssertionError("the source's error is lost")

    assert asyncio.run(run()) == [str(number) for number in range(700)]
    assert len(list(bus.subscribe(EVENT, follow=False))) == 700


def test_asyncio_stops_when_it_is_cancelled(settings: Settings, bus: EventBus) -> None:
    taken = 0

    def payloads() -> Iterator[dict[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"order_id": str(taken)}

    async def run() -> None:
        async with AsyncEventBus(settings) as events:
            async for _ in events.publish_iter(EVENT, payloads()):
                raise TimeoutError

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    stopped_at = taken
    time.sleep(0.2)
    assert taken == stopped_at
