"""AsyncEventBus: the same surface for asyncio, as a thin layer over the same core.

Events are handed to the core on the loop when that cannot wait, otherwise in a thread; whole
batches come back from a thread. Nothing here knows Kafka.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from platform_events.bus.bus import EventBus
from platform_events.bus.event import Event, Payload
from platform_events.bus.publisher import message_of
from platform_events.bus.values import EventMessage, PublishResult, PublishStatus
from platform_events.errors import ClosedError, PublishError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from concurrent.futures import Executor, Future
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
"""Seconds a thread waits at a time for events of a stream that is not followed live."""
_LOOK_SECONDS = 5.0
"""Seconds without new events after which it is asked what became of a stream."""


class AsyncSubscription(AsyncIterator[Event[Payload]], Generic[Payload]):
    """An asynchronous iterator over one stream; raises as `Subscription` does.

    Args:
        subscription: the stream.
        threads: read and decode, a moment at a time. No thread waits for new events.
    """

    def __init__(self, subscription: Subscription[Payload], threads: Executor) -> None:
        self._subscription = subscription
        self._threads = threads
        self._ready: deque[Event[Payload]] = deque()
        self._taking: Future[list[Event[Payload]]] | None = None
        """Of no event loop: whoever asks next gets it, in whatever loop."""
        self._start = subscription.position
        self._last: Event[Payload] | None = None

    @property
    def position(self) -> ReplayId:
        """Subscribing with it as start goes on after the last event handed out."""
        return self._start if self._last is None else self._last.replay_id

    def __aiter__(self) -> AsyncSubscription[Payload]:
        return self

    async def __anext__(self) -> Event[Payload]:
        self._check_open()
        while not self._ready:
            await self._receive(_BATCH)
            if self._subscription.ended and not self._ready:
                raise StopAsyncIteration
        event = self._last = self._ready.popleft()
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
            self._last = batch[-1]
            yield batch

    async def close(self) -> None:
        """Stop reading."""
        await asyncio.to_thread(self._subscription.close)

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
            is_live = await self._arrival()
            self._check_open()
            # Another task may have begun meanwhile.
            taking = self._taking
        if taking is None:
            take = self._subscription.take
            try:
                taking = self._taking = self._threads.submit(take, size, 0 if is_live else _SLICE)
            except RuntimeError as error:
                raise ClosedError("the bus was closed meanwhile") from error
        # A cancelled caller must not lose the batch: the next call gets it.
        await _woken(taking.add_done_callback)
        if self._taking is taking:
            self._taking = None
            self._ready.extend(taking.result())
        self._check_open()

    async def _arrival(self) -> bool:
        """Wait until there may be something to take, or it is time to look at the stream.

        Returns:
            Whether one could wait; if not, taking has to.
        """
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                return await _woken(self._subscription.call_when_ready)
        except TimeoutError:
            return True


async def _woken(ask: Callable[[Callable[..., None]], bool | None]) -> bool:
    """Wait for a callback that another thread calls, and return True; not if `ask` returns False.

    A caller that is cancelled leaves what it waited for alone.
    """
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def resume() -> None:
        if not waiter.done():
            waiter.set_result(None)

    def wake(_: object = None) -> None:
        # The loop may be closed, and another one may wait for it now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(resume)

    if ask(wake) is False:
        return False
    await waiter
    return True


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
        subscription = await asyncio.to_thread(
            subscribe, stream, start, follow, on_expired, on_undecodable
        )
        return AsyncSubscription(subscription, self._bus.reading_threads)

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
