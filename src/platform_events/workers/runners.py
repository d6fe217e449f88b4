"""Running handlers: a fixed number of runners, each with the events of one key at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from platform_events.workers.attempts import Attempts
from platform_events.workers.lanes import Lanes
from platform_events.workers.lists import Lists
from platform_events.workers.outcomes import in_words, log_failure

if TYPE_CHECKING:
    from platform_events.workers.app import WorkerApp
    from platform_events.workers.desk import Desk
    from platform_events.workers.lanes import Item, Lane
    from platform_events.workers.signatures import HandlerSpec

_SHARE = 64
"""Events that a runner handles in a row; then others, and the rest of the loop, have their turn."""


class Runners:
    """Handles the events of all lanes with the handlers of a worker. In the thread of its loop.

    Args:
        app: the worker.
        desk: gets what has to be written, and how it goes.
        loop: runs handlers that are coroutines.
    """

    def __init__(self, app: WorkerApp, desk: Desk, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._desk = desk
        self._handler_of = app.handlers.choose
        self._loop = loop
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self.lanes = Lanes(app.order, self._wake)
        self._attempts = Attempts(app, desk, self.lanes, loop)
        self._lists = Lists(app, self._attempts, self.lanes, loop)

    def start(self) -> None:
        """Begin."""
        self._tasks = [
            self._loop.create_task(self._run(), name=f"platform-events-runner-{number}")
            for number in range(self._app.concurrency)
        ]

    async def close(self) -> None:
        """End at once: what runs is cancelled, and counts as not handled."""
        for task in self._tasks:
            task.cancel()
        self._attempts.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _wake(self) -> None:
        idle = self._idle
        for _ in range(min(len(idle), len(self.lanes.ready))):
            waiting = idle.popleft()
            if not waiting.done():
                waiting.set_result(None)

    async def _run(self) -> None:
        ready = self.lanes.ready
        try:
            while True:
                served = 0
                while ready:
                    served += await self._serve(ready.popleft(), _SHARE - served)
                    if served >= _SHARE:
                        # A handler that waits for nothing would keep everybody else from running.
                        await asyncio.sleep(0)
                        served = 0
                waiting = self._loop.create_future()
                self._idle.append(waiting)
                await waiting
        except Exception as error:  # noqa: BLE001 - one runner less would go unnoticed
            self._desk.stop = self._desk.stop or error

    async def _serve(self, lane: Lane, share: int) -> int:
        """Handle events of a lane, in their order, and give it back.

        Returns:
            How many they were, of the `share` that they may be.
        """
        assignment, items, lanes = lane.assignment, lane.items, self.lanes
        served = 0
        while served < share:
            # First this, then the look: whoever closes waits until nothing runs.
            assignment.running += 1
            try:
                if not items or assignment.is_closed:
                    break
                if not lanes.may_begin(lane):
                    lanes.block(lane)
                    return served
                spec = self._choose(lane, items[0])
                if spec is not None:
                    if spec.takes_list and not lane.is_alone:
                        await self._lists.serve(lane, spec)
                        return share
                    await self._serve_one(lane, items[0], spec)
                served += 1
                if lane.is_resting:
                    return served
            finally:
                assignment.running -= 1
        lanes.release(lane)
        return served

    def _choose(self, lane: Lane, item: Item) -> HandlerSpec | None:
        """Return the handler of a lane's first event; without one, settle what becomes of it."""
        assignment, event = lane.assignment, item.event
        if assignment.stopped and lane.key in assignment.stopped:
            self._attempts.park(lane)
        elif event is None:
            self._attempts.settle_undecodable(lane, item)
        elif (spec := self._handler_of(event)) is not None:
            return spec
        else:
            self._attempts.settle_unhandled(lane, item, event.type)
        return None

    async def _serve_one(self, lane: Lane, item: Item, spec: HandlerSpec) -> None:
        """Have a lane's first event handled once."""
        event, attempts = item.event, self._attempts
        events = (event,)
        lane.attempt += 1
        context = attempts.context(lane, item, events)
        argument = [event] if spec.takes_list else event
        error = await attempts.call(spec, argument, events, context, lane.assignment)
        if error is None:
            attempts.finish(lane, item)
        elif context.accepted is event:
            what = "failed after its checkpoint"
            log_failure(self._app.name, item, lane.attempt, what, in_words(error))
            attempts.finish(lane, item)
        else:
            attempts.fail(lane, item, error)
