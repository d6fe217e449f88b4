"""Where a test runs a worker: its processes, as it were, one after the other in one event loop."""

from __future__ import annotations

import asyncio
import copy
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from platform_events.bus.starts import find_stream
from platform_events.errors import UnknownSubscriptionError, UsageError
from platform_events.names import is_channel_name
from platform_events.testing.happenings import DeadLetter, Recorder, WorkerRun
from platform_events.testing.tenancy import Tenancy
from platform_events.workers.letter_view import LetterFilter
from platform_events.workers.letters import SubscriptionLetters
from platform_events.workers.options import check_start
from platform_events.workers.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.bus.bus import EventBus
    from platform_events.bus.starts import StartPoint, Stream
    from platform_events.workers.app import WorkerApp

_LOOK = 0.005
"""Seconds between two looks at what is waited for."""
_MANY = 2**31
"""More events than a test has: what is not to be committed must not be waited for either."""
_SHOWN = 3
"""How many handlers an error message tells about."""


class StoppedError(Exception):
    """A handler, or who made the worker, has called `stop()`."""


class Process:
    """What stands for a process of a worker.

    Args:
        app: the worker, with what is different in tests.
        bus: of its tenant.
        run: what it does is written down there.
        commits: whether it commits what it has handled.
        halt_after: how many events it has handled when it begins with nothing more.
    """

    def __init__(
        self,
        app: WorkerApp,
        bus: EventBus,
        run: WorkerRun,
        *,
        commits: bool,
        halt_after: int | None,
    ) -> None:
        run.processes += 1
        app = copy.copy(app)
        app.interceptors = copy.copy(app.interceptors)
        self.recorder = Recorder(run, run.processes)
        app.interceptors.add(self.recorder)
        if not commits:
            app.max_uncommitted = _MANY
        self.stop = threading.Event()
        self.runtime = Runtime(app, bus, stop=self.stop, commits=commits)
        self.recorder.limit, self.recorder.on_limit = halt_after, self._halt
        self.task = asyncio.create_task(self.runtime.run())

    def _halt(self) -> None:
        """Begin with nothing more. In the loop, so that it holds for the next event already."""
        if self.runtime.intake is not None:
            self.runtime.intake.close()

    async def end(self) -> None:
        """End it as a kill does, if it has not ended."""
        self.runtime.abandon()
        # Whoever waits has heard of what else it was.
        with suppress(Exception):
            await self.task


class Stage:
    """Runs a worker for a test. For one event loop.

    Args:
        app: the worker.
        bus: of its tenant.
        start: where a new subscription begins.
        is_all_published: whether nobody but its handlers publishes while it runs.

    Raises:
        UsageError: the worker cannot run.
    """

    def __init__(
        self, app: WorkerApp, bus: EventBus, start: StartPoint, *, is_all_published: bool
    ) -> None:
        app.check()
        self._app = copy.copy(app)
        self._app.start = check_start(start)
        self._app.retry = replace(app.retry, backoff=0, max_backoff=0)
        self._bus = bus
        self._is_all_published = is_all_published
        self._processes: list[Process] = []
        self.run = WorkerRun()
        """What has happened so far."""
        self.waits_for = "its beginning"
        """What is waited for, in words."""

    @property
    def current(self) -> Process:
        """The process that began last."""
        return self._processes[-1]

    def begin(self, *, commits: bool = True, halt_after: int | None = None) -> None:
        """Have a process begin; see `Process`."""
        self._processes.append(
            Process(self._app, self._bus, self.run, commits=commits, halt_after=halt_after)
        )

    async def kill(self) -> None:
        """End the current process, with what it has under way."""
        await self.current.end()

    async def drain(self, process: Process) -> None:
        """End a process as a signal does, and raise what it raises."""
        process.stop.set()
        await process.task

    async def close(self) -> None:
        """End whatever runs, at once."""
        for process in self._processes:
            await process.end()

    async def await_(self, is_so: Callable[[], bool]) -> None:
        """Wait for something.

        Raises:
            StoppedError: the worker was stopped meanwhile.
            PlatformEventsError: what has ended it.
        """
        while not is_so():
            for process in self._processes:
                if process.task.done() and not process.stop.is_set():
                    process.task.result()
            if self._app.stopping.is_set():
                raise StoppedError
            await asyncio.sleep(_LOOK)

    async def await_ready(self) -> None:
        """Wait until the current process does its work."""
        await self.await_(lambda: not self.current.runtime.health.obstacle)

    async def await_handled(self, count: int) -> None:
        """Wait until the current process has handled so many events.

        Raises:
            UsageError: there are fewer.
        """
        recorder = self.current.recorder
        if not self._is_all_published:
            await self.await_(lambda: recorder.handled >= count)
            return
        idle = asyncio.create_task(self.await_idle())
        try:
            await self.await_(lambda: recorder.handled >= count or idle.done())
            if idle.done():
                idle.result()
        finally:
            idle.cancel()
        if recorder.handled < count:
            raise UsageError(
                f"{self.waits_for} cannot come: worker {self._app.name} is idle after it has "
                f"handled {recorder.handled} events; publish more, or have it come earlier"
            )

    async def await_idle(self) -> None:
        """Wait until the current process has handled everything, and has committed that."""
        process = self.current
        await self.await_(lambda: process.runtime.intake is not None)
        intake, loop = process.runtime.intake, asyncio.get_running_loop()
        assert intake is not None
        handled, ends = None, await self._ends()
        while handled != ends:
            # What handlers have published meanwhile is theirs too.
            through = asyncio.Event()
            intake.when_through(ends, partial(loop.call_soon_threadsafe, through.set))
            await self.await_(through.is_set)
            handled, ends = ends, await self._ends()

    async def expire(self) -> None:
        """Remove all events of the stream but the last of each partition."""
        ends = await self._ends()
        topic = self._bus.settings.namespace.topic(self._app.stream_name)
        offsets = [max(0, ends[partition] - 1) for partition in sorted(ends)]
        await asyncio.to_thread(self._bus.admin.delete_records, topic, offsets)

    async def forget_positions(self) -> None:
        """Remove the positions that Kafka has of the subscription."""
        group = self._bus.settings.namespace.worker(self._app.name)
        await asyncio.to_thread(self._bus.admin.delete_group, group)

    async def read_letters(self) -> None:
        """Add the subscription's dead letters to what has happened."""
        # A worker that is stopped at once makes none.
        with suppress(UnknownSubscriptionError):
            self.run.dead_letters = await asyncio.to_thread(self._load_letters)

    def describe(self) -> str:
        """Return what the worker does, in words."""
        if not self._processes:
            return "Kafka has not answered"
        run, process = self.run, self.current
        words = [f"it has handled {len(run.handled)} events in {len(run.attempts)} attempts"]
        if process.runtime.health.obstacle:
            words.append(process.runtime.health.obstacle)
        running = process.recorder.running()
        for attempt in running[:_SHOWN]:
            first = attempt.events[0]
            words.append(
                f"a handler runs with {first.type} {first.event_id} (attempt {attempt.number})"
            )
        if len(running) > _SHOWN:
            words.append(f"and {len(running) - _SHOWN} others")
        errors = [attempt.error for attempt in run.attempts if attempt.error is not None]
        if errors:
            words.append(f"the last failure is {errors[-1]!r:.200}")
        for owned in process.runtime.intake.partitions() if process.runtime.intake else ():
            if owned.assignment.is_paused:
                words.append("the subscription is paused")
                break
            if owned.progress.unfinished:
                words.append(
                    f"in partition {owned.number}, offset {owned.progress.low} is not handled"
                )
        return ", ".join(words)

    def check_stream(self) -> None:
        """Raise at once if there is no such stream: outside tests, a worker waits for it.

        Raises:
            UnknownStreamError: there is none.
        """
        self._find_stream()

    def _find_stream(self) -> Stream:
        name = self._app.stream_name
        entry = self._bus.catalog.entry(name)
        return find_stream(entry, self._bus.settings.namespace.topic(name), self._bus.admin)

    async def _ends(self) -> dict[int, int]:
        """Return where each partition ends now. A channel is filled before."""
        return await asyncio.to_thread(self._find_ends)

    def _find_ends(self) -> dict[int, int]:
        tenancy = Tenancy.of(self._bus.settings)
        if tenancy is not None and is_channel_name(self._app.stream_name):
            tenancy.fill(self._app.stream_name)
        topic = self._find_stream().topic
        marks = self._bus.admin.watermarks({topic.name: topic.partitions})[topic.name]
        return {partition: end for partition, (_, end) in enumerate(marks)}

    def _load_letters(self) -> list[DeadLetter]:
        letters = SubscriptionLetters(self._bus, self._app.name)
        return [
            DeadLetter(
                shown.event,
                shown.letter.id,
                shown.letter.reason,
                shown.letter.message,
                shown.letter.attempts,
                shown.status,
            )
            for shown in letters.show(letters.select(LetterFilter()))
        ]
