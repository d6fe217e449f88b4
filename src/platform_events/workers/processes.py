"""Several processes of one worker, which begin, live and end together."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from platform_events.process_health import ProcessHealth
from platform_events.workers.lifeline import Report

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import Protocol

    class Metrics(Protocol):
        """Who adds up what processes count."""

        def take(self, process: int, text: str) -> None:
            """Take what a process counts now."""

        def retire(self, process: int) -> None:
            """Take what a process has counted last."""


_TICK = 0.1
"""Seconds between two looks at the processes."""
_RESTART_SECONDS = 1.0
_LAST_WORDS_SECONDS = 1.0
"""How long the last report of a process that has ended is waited for."""
_CUT_SHORT = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""Exit statuses of a process that two signals have ended, which was nobody's wish here."""
_logger = logging.getLogger("platform_events")


class Processes:
    """Runs a worker in several processes, and replaces those that are killed.

    They end when the parent does, however that ends.

    Args:
        number: how many.
        start: starts one, given its number from 1 and the two descriptors of a `Parent`.
        metrics: is given what they count; None: they count nothing.
    """

    def __init__(
        self,
        number: int,
        start: Callable[[int, int, int], subprocess.Popen[bytes]],
        metrics: Metrics | None,
    ) -> None:
        self.health = ProcessHealth()
        """Of all together: it lives if all of them do, and is ready if all are."""
        self._processes = [_Process(each, start, metrics) for each in range(1, number + 1)]
        self._is_draining = False
        self._status = 0

    def run(self, stop: threading.Event) -> int:
        """Run them until `stop` is set and they have drained, or until one ends by itself.

        Returns:
            The exit status: 0, or that of the first one that ended with another.
        """
        try:
            while True:
                if stop.is_set():
                    self._drain()
                self._tend()
                if self._is_draining and not any(one.is_running for one in self._processes):
                    return self._status
                # Not a wait for `stop`: the handler of a signal sets it in this very thread.
                time.sleep(_TICK)
        finally:
            self.kill()

    def kill(self) -> None:
        """End all that run, at once."""
        for one in self._processes:
            one.kill()

    def _tend(self) -> None:
        is_loaded = any(one.report.is_loaded for one in self._processes)
        for one in self._processes:
            code = one.poll()
            if code is not None:
                self._settle(one, code)
            # The first one goes ahead: what is wrong with the module is said once.
            if not self._is_draining and (one.number == 1 or is_loaded):
                one.start_if_due()
        self.health.beat(max(one.silence for one in self._processes))
        obstacles = [
            f"process {one.number}: {one.obstacle}" for one in self._processes if one.obstacle
        ]
        self.health.obstacle = "it is stopping" if self._is_draining else next(iter(obstacles), "")

    def _settle(self, one: _Process, code: int) -> None:
        """Do what the end of a process asks for."""
        is_killed = code < 0 or code in _CUT_SHORT
        if not is_killed:
            self._status = self._status or code
            self._drain()
            return
        number = -code if code < 0 else code - 128
        how = f"process {one.number} was ended by {_signal_name(number)}"
        if self._is_draining:
            _logger.error("%s before it was through", how)
            self._status = self._status or 1
        else:
            _logger.warning("%s and is started again in %g s", how, _RESTART_SECONDS)
            one.start_at = time.monotonic() + _RESTART_SECONDS

    def _drain(self) -> None:
        """Let all end when what they have under way is finished."""
        self._is_draining = True
        for one in self._processes:
            one.drain()


class _Process:
    """One of the processes, and those that come after it if it is killed."""

    def __init__(
        self,
        number: int,
        start: Callable[[int, int, int], subprocess.Popen[bytes]],
        metrics: Metrics | None,
    ) -> None:
        self.number = number
        self.report = Report()
        """What it has said last."""
        self.start_at = 0.0
        """From when on it may be started, by `time.monotonic()`."""
        self._start = start
        self._metrics = metrics
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._heard_at = 0.0
        self._has_run = False
        self._listener = threading.Thread()

    @property
    def is_running(self) -> bool:
        """Whether it runs, by the last `poll`."""
        return self._process is not None

    @property
    def silence(self) -> float:
        """Seconds since its loop last came round; 0 if it does not run."""
        if self._process is None:
            return 0.0
        return time.monotonic() - self._heard_at + self.report.loop_age

    @property
    def obstacle(self) -> str:
        """Why it does not do its work; empty if it does."""
        return self.report.obstacle if self._process is not None else "it is not started yet"

    def start_if_due(self) -> None:
        """Start it, unless it runs or has to wait.

        Raises:
            OSError: the system does not allow it, and never did.
        """
        if self._process is not None or time.monotonic() < self.start_at:
            return
        lifeline, self._lifeline = os.pipe()
        listening, reports = os.pipe()
        try:
            self._process = self._start(self.number, lifeline, reports)
        except OSError as error:
            self.drain()
            os.close(listening)
            if not self._has_run:
                raise
            # Whatever was short when the one before was killed may still be.
            _logger.warning("process %d cannot be started yet: %s", self.number, error)
            self.start_at = time.monotonic() + _RESTART_SECONDS
            return
        finally:
            # The ends that are the process's alone.
            os.close(lifeline)
            os.close(reports)
        self._has_run = True
        self.report, self._heard_at = Report(is_loaded=self.report.is_loaded), time.monotonic()
        self._listener = threading.Thread(
            target=self._listen, args=(listening,), name="platform-events-process", daemon=True
        )
        self._listener.start()
        _logger.info("process %d runs with PID %d", self.number, self._process.pid)

    def poll(self) -> int | None:
        """Return how it has ended, once; else None."""
        code = self._process.poll() if self._process is not None else None
        if code is not None:
            self._process = None
            self.drain()
            self._listener.join(_LAST_WORDS_SECONDS)
            if self._metrics is not None:
                self._metrics.retire(self.number)
        return code

    def drain(self) -> None:
        """Let it end when what it has under way is finished."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()

    def _listen(self, descriptor: int) -> None:
        with open(descriptor, "rb") as lines:
            for line in lines:
                self.report, self._heard_at = Report.from_line(line), time.monotonic()
                if self._metrics is not None:
                    self._metrics.take(self.number, self.report.metrics)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
