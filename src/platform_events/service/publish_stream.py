"""One PublishStream: requests read ahead, sent in their order and answered in their order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from platform_events.service.calls import parse
from platform_events.service.errors import (
    PUBLISH_COUNT_INVALID,
    PUBLISH_SWEPT,
    PUBLISH_TOPIC_EMPTY,
    PUBLISH_TOPIC_MISMATCH,
    UNAVAILABLE,
    CallError,
)
from platform_events.service.messages import PublishRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.service.calls import Call

Begin: TypeAlias = "Callable[[str, Any, asyncio.Event], asyncio.Task[bytes]]"
SWEPT_AFTER = 70.0
"""Seconds without a request, and without one that is not answered, after which a stream ends."""
_SLOTS = 8
"""Requests of a stream under way at a time."""
_EVENTS_A_SLOT = 250
"""A request with more events counts as several: results take memory until they are sent."""


class PublishStream:
    """One call, read from the moment that this is made. Its first request says where all events go.

    Args:
        call: whose.
        begin: publishes a request's events to a topic, in a task that returns the answer, and sets
            an event when all are sent; raises `CallError` if the request is none.
    """

    def __init__(self, call: Call, begin: Begin) -> None:
        self._call = call
        self._begin = begin
        self._topic = ""
        self._slots = asyncio.Semaphore(_SLOTS)
        self._answers: asyncio.Queue[tuple[asyncio.Task[bytes], int] | None] = asyncio.Queue()
        """What is under way, and how many slots each takes; None: nothing more comes."""
        self._taking = asyncio.create_task(self._take())
        self._taking.add_done_callback(lambda _: self._answers.put_nowait(None))

    def stop(self) -> None:
        """Read no further request; `run` ends when what is under way is answered."""
        self._taking.cancel()

    async def run(self) -> None:
        """Answer until the client has sent its last request.

        Raises:
            CallError: a request is wrong, after the answers to those before it; or none came; or
                this was stopped.
        """
        try:
            while (next_ := await self._next()) is not None:
                answer, slots = next_
                await self._call.write(await asyncio.shield(answer))
                for _ in range(slots):
                    self._slots.release()
            if self._taking.cancelled():
                raise CallError(UNAVAILABLE, "The service ends. Open a new stream.")
            await self._taking
        finally:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)

    async def _next(self) -> tuple[asyncio.Task[bytes], int] | None:
        try:
            async with asyncio.timeout(SWEPT_AFTER):
                return await self._answers.get()
        except TimeoutError:
            raise CallError(
                PUBLISH_SWEPT,
                f"No request with events came for {SWEPT_AFTER:g} seconds. Open a new stream.",
            ) from None

    async def _take(self) -> None:
        """Read requests and have them published, one after the other."""
        while True:
            await self._slots.acquire()
            data = await self._call.read()
            if data is None:
                return
            await self._publish(data)

    async def _publish(self, data: bytes) -> None:
        request = parse(PublishRequest, data, PUBLISH_COUNT_INVALID)
        self._check_topic(request.topic_name)
        more = min(len(request.events) // _EVENTS_A_SLOT, _SLOTS - 1)
        for _ in range(more):
            await self._slots.acquire()
        sent = asyncio.Event()
        self._answers.put_nowait((self._begin(self._topic, request, sent), 1 + more))
        await sent.wait()

    def _check_topic(self, name: str) -> None:
        if not (name or self._topic):
            raise CallError(PUBLISH_TOPIC_EMPTY, "The first request has to name the topic.")
        if name and self._topic and name != self._topic:
            raise CallError(
                PUBLISH_TOPIC_MISMATCH,
                f"The topic of this stream is {self._topic}. Open another stream for "
                f"{name[:100]!r}.",
            )
        self._topic = self._topic or name
