"""Handlers that take lists: gathering events, and finding the one that a list fails by."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from platform_events.workers.policy import Retry

if TYPE_CHECKING:
    from platform_events.workers.app import WorkerApp
    from platform_events.workers.attempts import Attempts
    from platform_events.workers.lanes import Item, Lane, Lanes
    from platform_events.workers.signatures import HandlerSpec

_Batch: TypeAlias = "list[tuple[Lane, Item]]"
"""Events with their lanes. Those of one lane are its first ones, in order."""
_LOOK = 0.01
"""Seconds between two looks at whether a list is full."""


class Lists:
    """Handles the first events of several lanes of a partition together.

    A list that fails is halved until the event is found that it fails by; that one is tried again
    alone, as the worker's policy says.

    Args:
        app: the worker.
        attempts: on its events.
        lanes: have them.
        loop: in which that happens.
    """

    def __init__(
        self, app: WorkerApp, attempts: Attempts, lanes: Lanes, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._size = app.batch_size
        self._wait = app.batch_wait
        self._handler_of = app.handlers.choose
        self._attempts = attempts
        self._lanes = lanes
        self._loop = loop

    async def serve(self, lane: Lane, spec: HandlerSpec) -> None:
        """Handle a list that begins with a lane's events, and give back the lanes of it."""
        assignment = lane.assignment
        if assignment.gathering is not None:
            assignment.gathering.append(lane)
            return
        held = [lane]
        await self._gather(held)
        batch: _Batch = []
        if not assignment.is_closed:
            for one in held:
                self._choose(batch, one, spec)
        kept = {id(one): one for one, _ in batch}
        for one in held:
            if id(one) not in kept:
                # It has nothing for this list, and must not wait for it.
                self._lanes.release(one)
        if not batch:
            return
        for one in kept.values():
            one.attempt += 1
        await self._handle(batch, spec)
        for one in kept.values():
            if not one.is_resting:
                self._lanes.release(one)

    async def _gather(self, held: list[Lane]) -> None:
        """Take lanes of the partition until they have enough events, or the time is over."""
        assignment = held[0].assignment
        self._take_ready(held)
        if self._wait <= 0:
            return
        assignment.gathering = held
        deadline = self._loop.time() + self._wait
        try:
            while (left := deadline - self._loop.time()) > 0 and not self._is_full(held):
                await asyncio.sleep(min(left, _LOOK))
                self._take_ready(held)
        finally:
            assignment.gathering = None

    def _is_full(self, held: list[Lane]) -> bool:
        assignment = held[0].assignment
        return assignment.is_closed or sum(len(lane.items) for lane in held) >= self._size

    def _take_ready(self, held: list[Lane]) -> None:
        """Take ready lanes of the same partition, as long as the list is not full."""
        assignment, ready = held[0].assignment, self._lanes.ready
        for _ in range(len(ready)):
            if self._is_full(held):
                return
            lane = ready.popleft()
            is_fit = lane.assignment is assignment and not lane.is_alone
            (held if is_fit else ready).append(lane)

    def _choose(self, batch: _Batch, lane: Lane, spec: HandlerSpec) -> None:
        """Add a lane's first events to a list, as far as they belong there."""
        if lane.is_alone or lane.key in lane.assignment.stopped:
            return
        room = self._size - len(batch)
        for number, item in enumerate(list(islice(lane.items, room)), 1):
            event = item.event
            if event is None or self._handler_of(event) is not spec:
                return
            if not self._lanes.may_begin(lane, number):
                return
            batch.append((lane, item))

    async def _handle(self, batch: _Batch, spec: HandlerSpec) -> None:
        """Have a list handled, and what is left of it if that fails."""
        events = [item.event for _, item in batch]
        oldest = max((lane for lane, _ in batch), key=lambda lane: lane.attempt)
        context = self._attempts.context(oldest, batch[0][1], events)
        error = await self._attempts.call(spec, events, events, context, oldest.assignment)
        accepted = context.accepted
        done = len(batch)
        if error is not None:
            # What was accepted is done, whatever came later.
            done = next((n for n, event in enumerate(events, 1) if event is accepted), 0)
        for lane, item in batch[:done]:
            self._attempts.finish(lane, item)
        left = batch[done:]
        if error is None or not left:
            return
        if isinstance(error, Retry):
            # It says nothing against any of them: they are tried together again.
            for lane in {id(lane): lane for lane, _ in left}.values():
                self._fail(lane, error)
        elif len(left) == 1:
            left[0][0].is_alone = True
            self._fail(left[0][0], error)
        else:
            middle = (len(left) + 1) // 2
            for half in (left[:middle], left[middle:]):
                # What comes after the event that fails, in its lane, waits for it.
                rest = [(lane, item) for lane, item in half if not lane.is_resting]
                if rest and not rest[0][0].assignment.is_closed:
                    await self._handle(rest, spec)

    def _fail(self, lane: Lane, error: Exception) -> None:
        lane.attempt = max(lane.attempt, 1)
        self._attempts.fail(lane, lane.items[0], error)
