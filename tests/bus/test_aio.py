"""The asyncio surface, which wraps the synchronous one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from platform_events.bus.aio import AsyncEventBus
from platform_events.bus.bus import EventBus
from platform_events.bus.values import PublishStatus, Start
from platform_events.errors import (
    ClosedError,
    PublishError,
    UndecodableRecordError,
    UnknownStreamError,
    UsageError,
)
from platform_events.settings import Settings
from tests.support import produce_raw

EVENT = "Order_Placed__e"


def order(number: int) -> dict[str, Any]:
    return {"order_id": f"A-{number}"}


def test_publish_and_subscribe(bus: EventBus, settings: Settings) -> None:
    async def main() -> None:
        async with AsyncEventBus(settings) as events:
            result = await events.publish(EVENT, order(0))
            assert result.status is PublishStatus.PERSISTED
            many = await events.publish_many(EVENT, [order(1), {"order_id": 2}, order(3)])
            assert [one.status.value for one in many] == [
                "PERSISTED", "NOT_PERSISTED", "PERSISTED",
            ]  # fmt: skip
            submitted = [await events.submit(EVENT, order(number)) for number in range(4, 104)]
            statuses = {one.status for one in await asyncio.gather(*submitted)}
            assert statuses == {PublishStatus.PERSISTED}
            subscription = await events.subscribe(EVENT, start=result.replay_id, follow=False)
            async with subscription:
                read = [event.payload["order_id"] async for event in subscription]
            assert read == ["A-1", "A-3", *(f"A-{number}" for number in range(4, 104))]

    asyncio.run(main())


def test_errors_are_the_same(bus: EventBus, settings: Settings) -> None:
    async def main() -> None:
        events = AsyncEventBus(settings)
        with pytest.raises(PublishError):
            await events.publish(EVENT, {})
        with pytest.raises(UnknownStreamError):
            await events.submit("Nothing__e", {})
        with pytest.raises(UsageError):
            await events.subscribe("nothing")
        produce_raw(settings, EVENT, b"junk")
        await events.publish(EVENT, order(1))
        subscription = await events.subscribe(EVENT, start=Start.EARLIEST)
        with pytest.raises(UndecodableRecordError):
            await anext(subscription)
        assert (await anext(subscription)).payload["order_id"] == "A-1"
        await subscription.close()
        await events.close()
        with pytest.raises(ClosedError):
            await events.publish(EVENT, order(2))

    asyncio.run(main())


def test_a_cancelled_wait_loses_nothing(bus: EventBus, settings: Settings) -> None:
    async def main() -> None:
        async with AsyncEventBus(settings) as events:
            subscription = await events.subscribe(EVENT)
            async with subscription:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await anext(subscription)
                for number in range(5):
                    await events.publish(EVENT, order(number))
                read: list[str] = []
                while len(read) < 5:
                    try:
                        async with asyncio.timeout(0.001):
                            read.append((await anext(subscription)).payload["order_id"])
                    except TimeoutError:
                        continue
            assert read == [f"A-{number}" for number in range(5)]

    asyncio.run(main())


def test_an_event_outlives_a_cancelled_wait_and_its_loop(bus: EventBus, settings: Settings) -> None:
    events = AsyncEventBus(settings)
    subscriptions = []

    async def wait_in_vain() -> None:
        subscription = await events.subscribe(EVENT)
        subscriptions.append(subscription)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(subscription), 0.01)

    async def read(count: int) -> list[str]:
        (subscription,) = subscriptions
        return [(await anext(subscription)).payload["order_id"] for _ in range(count)]

    async def close() -> None:
        await subscriptions[0].close()
        await events.close()

    asyncio.run(wait_in_vain())
    bus.publish_many(EVENT, [order(number) for number in range(3)])
    assert asyncio.run(read(1)) == ["A-0"]
    assert asyncio.run(read(2)) == ["A-1", "A-2"]
    asyncio.run(close())


def test_tasks_that_share_a_subscription_and_are_cancelled_lose_nothing(
    bus: EventBus, settings: Settings
) -> None:
    async def main() -> None:
        async with AsyncEventBus(settings) as events:
            subscription = await events.subscribe(EVENT)
            read: list[str] = []

            async def reader() -> None:
                read.append((await anext(subscription)).payload["order_id"])

            published = asyncio.ensure_future(
                events.publish_many(EVENT, [order(number) for number in range(50)])
            )
            while len(read) < 50:
                tasks = [asyncio.ensure_future(reader()) for _ in range(3)]
                await asyncio.wait(tasks, timeout=0.001)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await published
            await subscription.close()
            assert sorted(read) == sorted(f"A-{number}" for number in range(50))

    asyncio.run(main())


@pytest.mark.parametrize("closed", ["subscription", "bus"])
def test_nothing_comes_from_a_closed_subscription(
    bus: EventBus, settings: Settings, closed: str
) -> None:
    bus.publish_many(EVENT, (order(number) for number in range(600)))

    async def main() -> None:
        events = AsyncEventBus(settings)
        subscription = await events.subscribe(EVENT, Start.EARLIEST)
        batches = subscription.batches(10)
        first = [await anext(subscription), *(await anext(batches))]
        await (subscription if closed == "subscription" else events).close()
        with pytest.raises(ClosedError):
            await anext(subscription)
        with pytest.raises(ClosedError):
            await anext(batches)
        assert subscription.position == first[-1].replay_id
        await subscription.close()
        await events.close()

    asyncio.run(main())


def test_batches_and_position(bus: EventBus, settings: Settings) -> None:
    bus.publish_many(EVENT, (order(number) for number in range(700)))

    async def main() -> None:
        async with AsyncEventBus(settings) as events:
            subscription = await events.subscribe(EVENT, follow=False)
            first = [await anext(subscription) for _ in range(10)]
            assert subscription.position == first[-1].replay_id
            sizes = []
            async for batch in subscription.batches(100):
                assert subscription.position == batch[-1].replay_id
                sizes.append(len(batch))
            assert sum(sizes) == 690
            assert max(sizes) == 100

    asyncio.run(main())


def test_a_forgotten_subscription_does_not_keep_the_loop_from_ending(
    bus: EventBus, settings: Settings
) -> None:
    async def main() -> None:
        events = AsyncEventBus(settings)
        subscription = await events.subscribe(EVENT)
        waiting = asyncio.ensure_future(anext(subscription))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        waiting.cancel()
        await events.close()

    asyncio.run(main())
