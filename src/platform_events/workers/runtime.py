"""A worker at work: its event loop, which runs handlers, and its thread, which talks to Kafka."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from platform_events.errors import (
    BrokerError,
    BrokerTimeoutError,
    PlatformEventsError,
    StreamDeletedError,
    StreamRecreatedError,
    UnknownStreamError,
    WorkerStoppedError,
)
from platform_events.kafka.connection import refuse_green_threads
from platform_events.metrics.meters import METERS
from platform_events.process_health import ProcessHealth, Pulse
from platform_events.workers.desk import Desk
from platform_events.workers.ground import Ground
from platform_events.workers.intake import Intake
from platform_events.workers.runners import Runners

if TYPE_CHECKING:
    from platform_events.bus.bus import EventBus
    from platform_events.workers.app import WorkerApp

_PAUSE = 1.0
"""Seconds between two tries of what the cluster or a person has to make possible."""
_LEAVE_WITHIN = 2.0
"""Seconds for leaving the group, when handlers have used up the time for ending."""
_CANCEL_WITHIN = 1.0
"""Seconds in which handlers have to end that are cancelled."""
_MOST_NAMED = 20
"""Events that were cut off are named one by one, up to so many."""
_logger = logging.getLogger("platform_events.worker")


class Runtime:
    """Runs a worker until it is stopped.

    Args:
        app: the worker.
        bus: of its tenant.
        stop: ends it, drained; any thread may set it.
        instance_id: makes this process a static member of its group.
        grace: seconds that running handlers have at the end; None: the worker's.
        commits: whether positions are committed; without, all is handled again by the next process.
    """

    def __init__(
        self,
        app: WorkerApp,
        bus: EventBus,
        *,
        stop: threading.Event,
        instance_id: str | None = None,
        grace: float | None = None,
        commits: bool = True,
    ) -> None:
        refuse_green_threads()
        self._app = app
        self._bus = bus
        self._stop = stop
        self._instance_id = instance_id or app.instance_id
        self._grace = app.grace if grace is None else grace
        self._commits = commits
        self._is_abandoned = False
        self._said = ""
        self.health = ProcessHealth()
        self.desk = Desk()
        METERS.loops.add(self.health)
        self.intake: Intake | None = None
        """None before the stream and the subscription are there."""

    async def run(self) -> None:
        """Work until `stop` is set; then let handlers end, and commit.

        What is not there yet is waited for: Kafka, the stream.

        Raises:
            WorkerStoppedError: its policy says so, or the subscription or stream was deleted.
            AuthenticationError, AuthorizationError: the cluster has refused for 30 s.
            PlatformEventsError: it cannot work as it is.
            BrokerTimeoutError: the last positions could not be committed in time.
        """
        loop = asyncio.get_running_loop()
        self._pulse = Pulse(self.health, loop)
        runners = Runners(self._app, self.desk, loop)
        runners.start()
        over: asyncio.Future[None] = loop.create_future()
        threading.Thread(
            target=self._work,
            args=(runners, loop, over),
            name=f"platform-events-worker-{self._app.name}",
            daemon=True,
        ).start()
        try:
            await asyncio.shield(over)
        except asyncio.CancelledError:
            if not self._stop.is_set():
                self._stop.set()
                await over
            raise
        finally:
            await runners.close()

    def abandon(self) -> None:
        """End as a kill does: what runs is cancelled, and nothing more is committed.

        Only the place in the group is given back, so that another process has it sooner.
        """
        self._is_abandoned = True
        if self.intake is not None:
            self.intake.abandon()
        self._stop.set()

    def _work(
        self, runners: Runners, loop: asyncio.AbstractEventLoop, over: asyncio.Future[None]
    ) -> None:
        error: BaseException | None = None
        try:
            self._go(runners, loop)
        except BaseException as raised:  # noqa: BLE001 - it is raised in the loop
            error = raised
        self.health.obstacle = "it has ended"

        def end() -> None:
            if not over.done():
                if error is None:
                    over.set_result(None)
                else:
                    over.set_exception(error)

        try:
            loop.call_soon_threadsafe(end)
        except RuntimeError:
            _logger.debug("nobody waits for the worker's end any more")

    def _go(self, runners: Runners, loop: asyncio.AbstractEventLoop) -> None:
        ground = self._find_ground()
        if ground is None:
            return
        try:
            intake = self.intake = Intake(
                self._app,
                ground,
                self.desk,
                runners.lanes,
                loop,
                commits=self._commits,
                beat=self._pulse.beat,
            )
            self._go_on_and_leave(intake, runners, loop)
        finally:
            ground.close()

    def _go_on_and_leave(
        self, intake: Intake, runners: Runners, loop: asyncio.AbstractEventLoop
    ) -> None:
        error: BaseException | None = None
        try:
            self._go_on(intake)
        except BaseException as raised:  # noqa: BLE001 - it is raised again when this has left
            error = raised
        self.health.obstacle = "it is stopping"
        deadline = time.monotonic() + self._grace
        late: BrokerTimeoutError | None = None
        try:
            if self._commits:
                late = self._drain(intake, deadline)
        except BaseException as raised:  # noqa: BLE001 - as above
            if error is not None:
                _logger.error("%s: while it ended: %s", self._app.name, raised)  # noqa: TRY400
            error = error or raised
        self._cut_off(intake, runners, loop)
        intake.member.close(max(_LEAVE_WITHIN, deadline - time.monotonic()))
        if error is not None:
            if late is not None:
                _logger.error("%s", late)
            raise error
        if late is not None:
            raise late

    def _drain(self, intake: Intake, deadline: float) -> BrokerTimeoutError | None:
        """Let handlers end and commit; return what there is to say if there was no time for it."""

        def goes_on() -> bool:
            self._pulse.beat()
            return not self._is_abandoned and time.monotonic() < deadline

        if intake.drain(goes_on) or self._is_abandoned:
            return None
        return BrokerTimeoutError(
            f"{self._app.name}: not all that was handled could be committed before the end: those "
            "events are handled again"
        )

    def _cut_off(self, intake: Intake, runners: Runners, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel what handlers still do, before another process gets their events."""
        events: list[str] = []

        async def cut_off() -> None:
            events.extend(
                item.event.event_id
                for owned in intake.partitions()
                for assignment in owned.all_running()
                for item in runners.lanes.under_way(assignment)
                if item.event is not None
            )
            await runners.close()

        cutting = cut_off()
        try:
            asyncio.run_coroutine_threadsafe(cutting, loop).result(_CANCEL_WITHIN)
        except RuntimeError:
            # The loop is closed, and nothing runs any more.
            cutting.close()
        except (TimeoutError, CancelledError):
            _logger.warning("%s: handlers go on though they were cancelled", self._app.name)
        if events and not self._is_abandoned:
            more = "" if len(events) <= _MOST_NAMED else ", ..."
            _logger.warning(
                "%s: %s cut off in the handler, to be handled again: %s%s",
                self._app.name,
                "1 event was" if len(events) == 1 else f"{len(events)} events were",
                ", ".join(events[:_MOST_NAMED]),
                more,
            )  # fmt: skip

    def _find_ground(self) -> Ground | None:
        """Return what the worker stands on, as soon as it is there; None if stopped before."""
        while not self._stop.is_set():
            self._pulse.beat()
            try:
                return Ground(self._app, self._bus, self._instance_id)
            except (BrokerError, UnknownStreamError) as error:
                self._wait(error)
        return None

    def _go_on(self, intake: Intake) -> None:
        while not self._stop.is_set():
            self._pulse.beat()
            try:
                intake.go_round()
            except (StreamDeletedError, StreamRecreatedError) as error:
                # What would be committed now would count for the next stream of that name.
                intake.abandon()
                raise WorkerStoppedError(f"{self._app.name} stops: {error}") from error
            except BrokerError as error:
                self._wait(error)
            else:
                failure = intake.member.failure
                self.health.raise_if_refused(failure)
                self.health.obstacle = intake.obstacle()
                self._say("ready" if not self.health.obstacle else "")

    def _wait(self, error: PlatformEventsError) -> None:
        """Wait a moment for what is missing, and raise it if only a person can end it."""
        self.health.obstacle = error.line
        self._say(f"waiting: {error.line}")
        self.health.raise_if_refused(error)
        self._stop.wait(_PAUSE)

    def _say(self, message: str) -> None:
        """Log how it goes, once while it lasts."""
        if message and message != self._said:
            self._said = message
            level = logging.INFO if message == "ready" else logging.WARNING
            _logger.log(level, "%s: %s", self._app.name, message)
