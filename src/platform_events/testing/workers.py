"""Running a worker in a test."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeAlias

from platform_events.bus.values import Start
from platform_events.errors import UsageError
from platform_events.testing.faults import begin
from platform_events.testing.stage import Stage, StoppedError
from platform_events.workers.sharing import shared_bus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.aio import AsyncEventBus
    from platform_events.bus.bus import EventBus
    from platform_events.bus.starts import StartPoint
    from platform_events.testing.faults import Fault
    from platform_events.testing.happenings import WorkerRun
    from platform_events.workers.worker import Worker

Until: TypeAlias = "Literal['idle'] | Callable[[WorkerRun], object]"


def run_worker(
    app: Worker,
    event_bus: EventBus | AsyncEventBus,
    until: Until = "idle",
    timeout: float = 30,
    *,
    faults: Sequence[Fault] = (),
    start: StartPoint = Start.EARLIEST,
) -> WorkerRun:
    """Run a worker until it is done, and return what happened.

    Handlers that are coroutines run in an event loop in the caller's thread, others in threads, as
    always. Attempts on an event follow each other at once, unless a handler raises
    `Retry(after=...)`. What the worker has committed, and its dead letters, are there for the next
    run.

    Args:
        app: the worker.
        event_bus: tells cluster and tenant, such as the fixture of that name.
        until: `idle` is when all events of the stream are handled, or are dead letters, and that
            is committed; else a function that is called often with what happened so far and returns
            whether to end. `app.stop()` ends it too. What runs then is finished.
        timeout: seconds for all of it.
        faults: what happens to the worker, one after the other, before it is run to the end.
        start: where a new subscription begins, instead of the worker's own `start`: what a test
            has published before is meant to be handled.

    Raises:
        TimeoutError: it took longer; the message says what the worker was doing.
        WorkerStoppedError: its policy says so, or the subscription was deleted.
        UnknownStreamError: there is no such stream.
        UsageError: the worker cannot run; a fault never came; or a loop runs here.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # A loop that is nobody's: what a plug-in for asyncio has set up stays as it is.
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(
                run_worker_async(app, event_bus, until, timeout, faults=faults, start=start)
            )
    raise UsageError("run_worker() is for tests without a loop: await run_worker_async() here")


async def run_worker_async(
    app: Worker,
    event_bus: EventBus | AsyncEventBus,
    until: Until = "idle",
    timeout: float = 30,
    *,
    faults: Sequence[Fault] = (),
    start: StartPoint = Start.EARLIEST,
) -> WorkerRun:
    """Run a worker on the loop of an asynchronous test; see `run_worker`."""
    with shared_bus(event_bus.settings) as bus:
        stage = Stage(app, bus, start, is_all_published=until == "idle")
        try:
            async with asyncio.timeout(timeout) as limit:
                await asyncio.to_thread(stage.check_stream)
                with suppress(StoppedError):
                    await _play(stage, until, faults)
                await stage.drain(stage.current)
                await stage.read_letters()
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeoutError(
                f"worker {app.name}: {stage.waits_for} has not come within {timeout:g} s: "
                f"{stage.describe()}"
            ) from None
        finally:
            await stage.close()
            app.stopping.clear()
    return stage.run


async def _play(stage: Stage, until: Until, faults: Sequence[Fault]) -> None:
    sequence = [*faults, None]
    begin(stage, sequence[0])
    for fault, following in zip(faults, sequence[1:], strict=True):
        stage.waits_for = str(fault)
        await fault.strike(stage, following)
    if until == "idle":
        stage.waits_for = "that it is idle"
        await stage.await_idle()
    elif callable(until):
        stage.waits_for = "what `until` asks for"
        await stage.await_(lambda: bool(until(stage.run)))
    else:
        raise UsageError(f"until is 'idle' or a function, not {until!r:.60}")
