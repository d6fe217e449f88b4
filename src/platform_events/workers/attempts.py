"""One attempt on an event, and what follows from it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from platform_events.errors import WorkerStoppedError
from platform_events.workers.context import Context
from platform_events.workers.desk import NO_THREADS
from platform_events.workers.outcomes import (
    describe_failure,
    in_words,
    log_failure,
    without_handling,
)
from platform_events.workers.policy import LONGEST_RETRYING, Reason, Reject, next_step
from platform_events.workers.threads import HandlerThreads, as_failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from platform_events.workers.app import WorkerApp
    from platform_events.workers.desk import Desk
    from platform_events.workers.interceptors import Outcome
    from platform_events.workers.lanes import Assignment, Item, Lane, Lanes
    from platform_events.workers.outcomes import Failure
    from platform_events.workers.signatures import HandlerSpec

_logger = logging.getLogger("platform_events.worker")


@asynccontextmanager
async def _limit(seconds: float) -> AsyncIterator[None]:
    """Give up what takes longer than an attempt may.

    Raises:
        TimeoutError: it does.
    """
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutError(f"the handler took longer than {seconds:g} s") from error


class Attempts:
    """Calls handlers, and does with events what the worker's policy says. In the loop's thread.

    Args:
        app: the worker.
        desk: gets what has to be written, and how it goes.
        lanes: have the events.
        loop: runs handlers that are coroutines.
    """

    def __init__(
        self, app: WorkerApp, desk: Desk, lanes: Lanes, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._app = app
        self._policy = app.retry
        self._interceptors = app.interceptors
        self._desk = desk
        self._lanes = lanes
        self._loop = loop
        self._threads = HandlerThreads(app.concurrency, loop, self._note_kept)

    def close(self) -> None:
        """Let threads end that run no handler."""
        self._threads.close()

    def _note_kept(self, threads: int) -> None:
        """Note how many threads handlers keep that have timed out and not returned."""
        self._desk.has_threads = threads < self._app.concurrency
        if not self._desk.has_threads:
            _logger.error("%s: %s", self._app.name, NO_THREADS)

    def context(self, lane: Lane, item: Item, events: Sequence[Any]) -> Context:
        """Return what a handler is told about the attempt on events, the first one a lane's."""
        return Context(
            lane.attempt,
            self._app.name,
            lane.assignment.partition,
            None,
            item.letter is not None,
            events,
        )

    async def call(
        self,
        spec: HandlerSpec,
        argument: Any,
        events: Sequence[Any],
        context: Context,
        assignment: Assignment,
    ) -> Exception | None:
        """Call a handler with an event, or a list of them; return what it raised."""
        interceptors, desk = self._interceptors, self._desk
        failure: Exception | None = None
        number = len(events)
        if interceptors.has_any:
            interceptors.before(events, context)
        desk.in_flight += number
        try:
            if not spec.is_async:
                await self._call_in_thread(spec, argument, context, assignment)
            elif self._policy.timeout is None:
                await spec.function(argument, context)
            else:
                context.deadline = time.monotonic() + self._policy.timeout
                async with _limit(self._policy.timeout):
                    await spec.function(argument, context)
        except Exception as error:  # noqa: BLE001 - what it means is the policy's to say
            failure = error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The handler's own doing.
            failure = as_failure(error)
        except (KeyboardInterrupt, GeneratorExit):
            # Somebody wants the loop to end, or it has ended.
            raise
        except BaseException as error:  # noqa: BLE001 - it would end a runner, and be lost with it
            failure = as_failure(error)
        finally:
            desk.in_flight -= number
        if interceptors.has_any:
            interceptors.after(events, context, failure)
        return failure

    async def _call_in_thread(
        self, spec: HandlerSpec, argument: Any, context: Context, assignment: Assignment
    ) -> None:
        begun, timeout = asyncio.Event(), self._policy.timeout

        def handle() -> None:
            if timeout is not None:
                context.deadline = time.monotonic() + timeout
            spec.function(argument, context)

        run = self._threads.run(
            handle, is_wanted=lambda: not assignment.is_closed, on_begin=begun.set
        )
        if timeout is None:
            await run
            return
        running, waiting = self._loop.create_task(run), self._loop.create_task(begun.wait())
        try:
            # To wait for a thread is no part of the attempt.
            await asyncio.wait((waiting, running), return_when=asyncio.FIRST_COMPLETED)
            async with _limit(timeout):
                await running
        finally:
            waiting.cancel()
            running.cancel()

    def finish(self, lane: Lane, item: Item) -> None:
        """Note that a lane's first event was handled."""
        self._desk.counts["ok"] += 1
        if self._interceptors.has_any and item.event is not None:
            self._interceptors.outcome([item.event], "ok", None)
        if item.offset in lane.assignment.lettered and item.letter is None:
            self._desk.outdated.append(item)
        self._pass(lane, item)

    def fail(self, lane: Lane, item: Item, error: Exception) -> None:
        """Take a failure of a lane's first event: there is another attempt later, or none."""
        now = time.monotonic()
        self._lanes.fail(lane, now)
        lane.first_failure_ms = lane.first_failure_ms or time.time_ns() // 1_000_000
        assert lane.failing_since is not None
        elapsed = now - lane.failing_since
        step = next_step(self._policy, error, lane.attempt, elapsed, random.random)
        if isinstance(step, Reason):
            self._conclude(lane, item, error, step)
            return
        log_failure(self._app.name, item, lane.attempt, f"again in {step:.1f} s", in_words(error))
        self._count("retried", item, error)
        self._lanes.rest(lane)
        self._loop.call_later(step, self._lanes.wake, lane)

    def settle_undecodable(self, lane: Lane, item: Item) -> None:
        """Make a dead letter of a lane's first event, which cannot be decoded."""
        self._write(lane, item, without_handling(Reason.UNDECODABLE, str(item.error)), item.error)

    def settle_unhandled(self, lane: Lane, item: Item, type_: str) -> None:
        """Do what the worker's policy says about a lane's first event, which has no handler."""
        message = f"{self._app.name} has no handler for {type_}"
        if self._app.on_unhandled == "skip":
            self._pass(lane, item)
        elif self._app.on_unhandled == "dead-letter":
            self._write(lane, item, without_handling(Reason.UNHANDLED, message), None)
        else:
            advice = "add one, or give Worker on_unhandled='skip' or 'dead-letter'"
            self._stop(lane, WorkerStoppedError(f"{message}: {advice}"))

    def park(self, lane: Lane) -> None:
        """Make letters of all events of a key that is stopped; the lane rests until all are stored.

        What was redriven is a letter already.
        """
        items = list(lane.items)
        self._lanes.begin_all(lane)
        self._lanes.rest(lane)
        left = len(items)

        def count_down() -> None:
            nonlocal left
            left -= 1
            if not left:
                self._go_on(lane, len(items))

        failure = without_handling(Reason.PARKED, "an event of its key failed before it")
        log_failure(self._app.name, items[0], 0, f"{len(items)} parked", failure.message)
        for item in items:
            if item.letter is None:
                self._count("dead_lettered", item, None)
                self._desk.letters.append((item, failure, count_down))
            else:
                self._desk.let_go.append((item, item.letter, count_down))

    def _pass(self, lane: Lane, item: Item) -> None:
        """Take a lane's first event out of it: it is done."""
        if item.letter is None:
            lane.assignment.finished.append(item)
        else:
            self._desk.redriven.append((item, item.letter))
        self._lanes.advance(lane)
        if lane.failing_since is not None:
            self._lanes.recover(lane)

    def _conclude(self, lane: Lane, item: Item, error: Exception, reason: Reason) -> None:
        """Do what the worker's policy says about an event that failed for good."""
        on_failure = "dead-letter" if isinstance(error, Reject) else self._app.on_failure
        if on_failure == "stop-worker":
            self._count("failed", item, error)
            event_id = item.event.event_id if item.event is not None else ""
            self._stop(
                lane,
                WorkerStoppedError(
                    f"{self._app.name} stops, as its on_failure says: event {event_id} failed "
                    f"{lane.attempt} times, last with {error!r}; it comes first when the worker "
                    "runs again"
                ),
            )
            return
        stops_key = on_failure == "stop-key"
        if stops_key:
            # Of a redriven letter, the lane is another than that of new events.
            lane.assignment.stopped.update((lane.key, item.record.key()))
            self._lanes.hold_no_more(lane.assignment, item.record.key())
        self._write(lane, item, describe_failure(lane, reason, error, stops_key=stops_key), error)

    def _write(self, lane: Lane, item: Item, failure: Failure, error: Exception | None) -> None:
        """Make a dead letter of a lane's first event; the lane rests until that is stored."""
        what = f"dead letter ({failure.reason.value})"
        log_failure(self._app.name, item, failure.attempts, what, failure.message)
        is_rejected = failure.reason is Reason.REJECTED
        self._count("rejected" if is_rejected else "dead_lettered", item, error)
        self._lanes.rest(lane)
        self._desk.letters.append((item, failure, lambda: self._go_on(lane, 1)))

    def _go_on(self, lane: Lane, done: int) -> None:
        for _ in range(done):
            self._lanes.advance(lane)
        self._lanes.wake(lane)
        if not lane.items:
            self._loop.call_later(LONGEST_RETRYING, self._lanes.forgive, lane)

    def _stop(self, lane: Lane, reason: Exception) -> None:
        """End the worker; the lane stays as it is."""
        self._desk.stop = self._desk.stop or reason
        self._lanes.rest(lane)

    def _count(self, outcome: Outcome, item: Item, error: Exception | None) -> None:
        self._desk.counts[outcome] += 1
        if self._interceptors.has_any and item.event is not None:
            self._interceptors.outcome([item.event], outcome, error)
