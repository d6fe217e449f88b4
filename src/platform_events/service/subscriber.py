"""One Subscribe call under way: what it asks for, and what it is sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from platform_events.metrics.meters import METERS
from platform_events.service.calls import parse
from platform_events.service.credit import Credit
from platform_events.service.errors import (
    FETCH_INVALID,
    FETCH_TOPIC_MISMATCH,
    REQUESTED_INVALID,
    SUBSCRIPTION_INTERNAL,
    CallError,
)
from platform_events.service.frames import FRAME_BYTES, response_tail
from platform_events.service.messages import FetchRequest
from platform_events.service.windows import Cursor

if TYPE_CHECKING:
    from platform_events.bus.starts import OnExpired
    from platform_events.service.calls import Call
    from platform_events.service.streams import OpenStream
    from platform_events.service.windows import Place, Taken

KEEPALIVE_SECONDS = 45.0
"""From one response to the next, while events are owed and there are none."""
IDLE_SECONDS = 70.0
"""From a response to the next request, while nothing is owed."""


class Subscriber:
    """Sends what was asked for, as far as it is there. For the event loop.

    Args:
        call: of the client.
        stream: what it reads.
        place: where it begins.
        request: its first one.
        on_expired: what to do when retention overtakes it.
    """

    def __init__(
        self, call: Call, stream: OpenStream, place: Place, request: Any, on_expired: OnExpired
    ) -> None:
        self.stream = stream
        self.on_expired = on_expired
        self._call = call
        self._topic = request.topic_name
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self.cursor = Cursor(place, self._woken.set)
        self.ended: asyncio.Future[None] = self._loop.create_future()
        """Done when nothing more is sent."""
        self._credit = Credit()
        self._credit.ask(request.num_requested)
        self._failure: Exception | None = None
        self._has_ended = False
        """Whether the client has said that it asks for no more."""
        self._is_draining = False
        self._said_at = self._loop.time()
        """When the last response was taken by the client, or by what is between."""
        self._timer: asyncio.TimerHandle | None = None
        self._serving: asyncio.Task[Any] | None = None

    async def serve(self) -> None:
        """Send events until the client ends its side.

        Raises:
            CallError, PlatformEventsError: the call fails.
        """
        self._serving = asyncio.current_task()
        reading = asyncio.create_task(self._take_requests())
        try:
            await self._send()
        finally:
            reading.cancel()

    def fail(self, error: Exception) -> None:
        """Have the call fail."""
        self._failure = self._failure or error
        self._woken.set()

    def drain(self) -> None:
        """Have the client told where it is, and its call fail."""
        self._is_draining = True
        self._woken.set()

    def cut_off(self) -> None:
        """End the call of a client that does not read."""
        if self._serving is not None:
            self._serving.cancel()

    def end(self) -> None:
        """Note that nothing more is sent."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(None)

    async def _send(self) -> None:
        # At once: a client knows its place only from a response.
        await self._say()
        cursor, credit, stream = self.cursor, self._credit, self.stream
        while not self._has_ended:
            self._woken.clear()
            if self._failure is not None:
                raise self._failure
            if self._is_draining:
                await self._say()
                raise draining()
            if credit.owed:
                if cursor.is_stranded:
                    await stream.place_again(self)
                taken = cursor.take(credit.owed, FRAME_BYTES)
                stream.demand(cursor)
                if taken is not None:
                    await self._give(taken)
                    continue
            await self._wait()

    async def _give(self, taken: Taken) -> None:
        credit = self._credit
        credit.send(taken.count)
        tail = response_tail(taken.replay_id, self._call.rpc_id, credit.owed)
        await self._call.write(b"".join((*taken.encoded, tail)))
        self._said_at = self._loop.time()
        METERS.deliver(self.stream.stream.path, taken.count)

    async def _say(self) -> None:
        """Send a response without events."""
        replay_id = self.stream.replay_id(self.cursor)
        await self._call.write(response_tail(replay_id, self._call.rpc_id, self._credit.owed))
        self._said_at = self._loop.time()

    async def _wait(self) -> None:
        """Wait for something to do, and do what is due when nothing comes."""
        due = self._said_at + (KEEPALIVE_SECONDS if self._credit.owed else IDLE_SECONDS)
        if self._loop.time() < due:
            self._set_timer(due)
            await self._woken.wait()
        elif self._credit.owed:
            await self._say()
        else:
            raise CallError(
                SUBSCRIPTION_INTERNAL,
                f"No FetchRequest came within {IDLE_SECONDS:g} s of the last response, and no "
                "events were owed. Subscribe again after latest_replay_id.",
            )

    def _set_timer(self, due: float) -> None:
        """Be woken when something is due; one that wakes before that may stay."""
        timer = self._timer
        if timer is not None:
            if self._loop.time() < timer.when() <= due:
                return
            timer.cancel()
        self._timer = self._loop.call_at(due, self._woken.set)

    async def _take_requests(self) -> None:
        try:
            while (data := await self._call.read()) is not None:
                request = parse(FetchRequest, data, FETCH_INVALID)
                if request.topic_name not in ("", self._topic):
                    raise CallError(  # noqa: TRY301 - as the others
                        FETCH_TOPIC_MISMATCH,
                        f"The topic is {self._topic}; it can't change within a call.",
                    )
                check_number(request)
                self._credit.ask(request.num_requested)
                self._woken.set()
        except Exception as error:  # noqa: BLE001 - the one who sends fails with it
            self.fail(error)
        else:
            self._has_ended = True
            self._woken.set()


def check_number(request: Any) -> None:
    """Raise if a request asks for no events."""
    if request.num_requested <= 0:
        raise CallError(
            REQUESTED_INVALID,
            f"num_requested must be greater than 0, not {request.num_requested}.",
        )


def draining() -> CallError:
    """Return why a call fails when the service ends.

    Not with the code `service.unavailable`: the Java sample goes on at LATEST after that, and loses
    events (tried).
    """
    return CallError(
        SUBSCRIPTION_INTERNAL,
        "This server is being stopped. Subscribe again after latest_replay_id.",
    )
