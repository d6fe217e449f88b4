"""AsyncEventBus: the same surface for asyncio, as a thin layer over the same core.

Events are handed to the core on the loop when that cannot wait, otherwise in a thread; whole
batches come back from a thread. Nothing here knows Kafka.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from platform_events.bus.bus import EventBus
from platform_events.bus.publisher import message_of
from platform_events.bus.values import Event, EventMessage, Payload, PublishResult, PublishStatus
from platform_events.errors import ClosedError, PublishError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import UnionType

    from platform_events.bus.models import ModelArgument
    from platform_events.bus.starts import OnExpired, StartPoint
    from platform_events.bus.subscription import OnUndecodable, Subscription
    from platform_events.envelope import UserHeaders
    from platform_events.replay import ReplayId
    from platform_events.settings import Settings

Model = TypeVar("Model")
_BATCH = 500
_SLICE = 0.2
"""Seconds a thread waits for events at a time, so that none outlives its loop for long."""


class AsyncSubscription(AsyncIterator[Event[Payload]], Generic[Payload]):
    """An asynchronous iterator over one stream; raises as `Subscription` does."""

    def __init__(self, subscription: Subscription[Payload]) -> None:
        self._subscription = subscription
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="platform-events-subscription")
        self._ready: deque[Event[Payload]] = deque()
        self._taking: Future[list[Event[Payload]]] | None = None
        """Of no event loop: whoever asks next gets it, in whatever loop."""
        self._position = subscription.position

    @property
    def position(self) -> ReplayId:
        """Subscribing with it as start goes on after the last event handed out."""
        return self._position

    def __aiter__(self) -> AsyncSubscription[Payload]:
        return self

    async def __anext__(self) -> Event[Payload]:
        self._check_open()
        while not self._ready:
            await self._receive(_BATCH)
            if self._subscription.ended and not self._ready:
                raise StopAsyncIteration
        event = self._ready.popleft()
        self._position = event.replay_id
        return event

    async def batches(self, size: int) -> AsyncIterator[list[Event[Payload]]]:
        """Yield lists of 1 to `size` events; each waits for its first event only."""
        if size < 1:
            raise UsageError(f"a batch has at least 1 event, not {size}")
        while True:
            self._check_open()
            if not self._ready:
                if self._subscription.ended:
                    return
                await self._receive(size)
                continue
            batch = [self._ready.popleft() for _ in range(min(size, len(self._ready)))]
            self._position = batch[-1].replay_id
            yield batch

    async def close(self) -> None:
        """Stop reading."""
        await asyncio.to_thread(self._subscription.close)
        self._thread.shutdown(wait=False)

    async def __aenter__(self) -> AsyncSubscription[Payload]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _check_open(self) -> None:
        if self._subscription.closed:
            raise ClosedError("the subscription is closed; subscribe again after its position")

    async def _receive(self, size: int) -> None:
        taking = self._taking
        if taking is None:
            taking = self._taking = self._thread.submit(self._subscription.take, size, _SLICE)
        # A cancelled caller must not lose the batch: the next call gets it.
        await _settled(taking)
        if self._taking is taking:
            self._taking = None
            self._ready.extend(taking.result())
        self._check_open()


async def _settled(future: Future[Any]) -> None:
    """Wait for a future of another thread, leaving it alone when the caller is cancelled."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def resume() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def wake(_: Future[Any]) -> None:
        # The loop may be closed, and another one may wait for it now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(resume)

    future.add_done_callback(wake)
    await waiter


class AsyncEventBus:
    """One tenant's event bus for asyncio; takes and raises what `EventBus` does."""

    def __init__(self, settings: Settings | None = None, **overrides: Any) -> None:
        self._bus = EventBus(settings, **overrides)

    @classmethod
    def over(cls, bus: EventBus) -> Self:
        """Return a bus for asyncio over one that nobody else uses."""
        own = cls.__new__(cls)
        own._bus = bus  # noqa: SLF001
        return own

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._bus.settings

    async def publish(
        self,
        event: str,
        payload: Any,
        *,
        headers: UserHeaders | None = None,
        event_id: str | None = None,
    ) -> PublishResult:
        """Publish one event and wait until it is stored; see `EventBus.publish`."""
        message = message_of(payload, event_id)
        result = await (await self._submit(event, message, headers, urgent=True))
        if result.status is not PublishStatus.PERSISTED:
            raise PublishError(f"{result.status.value}: {result.error}", result) from result.error
        return result

    async def publish_many(
        self,
        event: str,
        payloads: Iterable[Any],
        *,
        headers: UserHeaders | None = None,
    ) -> list[PublishResult]:
        """Publish events in order and wait for all; see `EventBus.publish_many`."""
        return await asyncio.to_thread(self._bus.publish_many, event, payloads, headers=headers)

    async def publish_iter(
        self,
        event: str,
        payloads: Iterable[Any],
        *,
        headers: UserHeaders | None = None,
    ) -> AsyncIterator[PublishResult]:
        """Publish events in order, yield results in order; see `EventBus.publish_iter`.

        A thread reads `payloads`. What is wrong with the call is raised when the first result is
        asked for. If that is cancelled, the thread takes one payload more at most.
        """
        wanted = True

        def taken() -> Iterator[Any]:
            for payload in self._bus.while_usable(payloads):
                if not wanted:
                    return
                yield payload

        start = self._bus.publishing().publish_chunks
        chunks = await asyncio.to_thread(start, event, taken(), headers)
        try:
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                for result in chunk:
                    yield result
        finally:
            wanted = False

    async def submit(
        self,
        event: str,
        payload: Any,
        *,
        headers: UserHeaders | None = None,
        event_id: str | None = None,
    ) -> asyncio.Future[PublishResult]:
        """Wait for room in the buffer, queue one event, return an awaitable of its outcome."""
        return await self._submit(event, message_of(payload, event_id), headers, urgent=False)

    @overload
    async def subscribe(
        self,
        stream: str,
        start: StartPoint = None,
        follow: bool = True,
        on_expired: OnExpired = "fail",
        on_undecodable: OnUndecodable = "fail",
        *,
        until: StartPoint = None,
    ) -> AsyncSubscription[dict[str, Any]]: ...

    @overload
    async def subscribe(
        self,
        stream: str,
        start: StartPoint = None,
        follow: bool = True,
        on_expired: OnExpired = "fail",
        on_undecodable: OnUndecodable = "fail",
        *,
        until: StartPoint = None,
        model: type[Model] | Mapping[str, type[Model]],
    ) -> AsyncSubscription[Model]: ...

    @overload
    async def subscribe(
        self,
        stream: str,
        start: StartPoint = None,
        follow: bool = True,
        on_expired: OnExpired = "fail",
        on_undecodable: OnUndecodable = "fail",
        *,
        until: StartPoint = None,
        model: UnionType | Mapping[str, type[Any]],
    ) -> AsyncSubscription[Any]: ...

    async def subscribe(
        self,
        stream: str,
        start: StartPoint = None,
        follow: bool = True,
        on_expired: OnExpired = "fail",
        on_undecodable: OnUndecodable = "fail",
        *,
        until: StartPoint = None,
        model: ModelArgument | None = None,
    ) -> AsyncSubscription[Any]:
        """Read a stream; see `EventBus.subscribe`."""
        subscribe: Any = partial(self._bus.subscribe, until=until, model=model)
        return AsyncSubscription(
            await asyncio.to_thread(subscribe, stream, start, follow, on_expired, on_undecodable)
        )

    async def close(self) -> None:
        """Wait for events on their way, then end all clients; see `EventBus.close`."""
        await asyncio.to_thread(self._bus.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _submit(
        self, event: str, message: EventMessage, headers: UserHeaders | None, *, urgent: bool
    ) -> asyncio.Future[PublishResult]:
        publisher = self._bus.publishing()
        submit = partial(publisher.submit, event, message, headers, urgent=urgent)
        future = submit() if publisher.is_ready(event) else await asyncio.to_thread(submit)
        return asyncio.wrap_future(future)
