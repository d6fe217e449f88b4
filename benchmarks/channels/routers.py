"""`platform-events route` as a process that is watched from outside."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Self

from benchmarks.deployment import CLI
from benchmarks.processes import Vitals, read_cpu, read_vitals
from benchmarks.runner import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

_QUIET_SECONDS = 0.5
_QUIET_SHARE = 0.05
_QUIET_TIME_LIMIT = 30.0
_STOP_TIME_LIMIT = 30.0


class RouterProcess:
    """A running router, for the length of a `with`, which ends it with SIGTERM.

    Args:
        env: its environment, which names broker and tenant.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [*CLI, "route"],
            env={**env, "PLATFORM_EVENTS_LOG_FORMAT": "json"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._said: dict[str, float] = {}
        """Each message of its log, and when it came first."""
        self._last: deque[str] = deque(maxlen=1)
        self._ended = False
        self._is_killed = False
        self._news = threading.Condition()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def name(self) -> str:
        """By which `streams` shows it."""
        return f"router@{socket.gethostname()}:{self._process.pid}"

    def kill(self) -> None:
        """End it with SIGKILL, and wait until it is gone.

        Raises:
            MeasurementError: it has ended before.
        """
        if self._process.poll() is not None:
            raise self._failure()
        self._is_killed = True
        self._process.kill()
        self._process.wait()

    def vitals(self) -> Vitals:
        """Look at the process.

        Raises:
            MeasurementError: it has ended.
        """
        try:
            return read_vitals(self._process.pid)
        except ProcessLookupError as error:
            raise self._failure() from error

    def await_live(self, channels: Iterable[str], timeout: float) -> float:
        """Wait until it says of each channel that it is live; return the time of the last one.

        Args:
            channels: names of channels with one partition.
            timeout: seconds.

        Raises:
            MeasurementError: that did not come in time, or the process ended.
        """
        return self._await({f"{channel}: live" for channel in channels}, timeout)

    def await_quiet(self) -> None:
        """Wait until it uses next to no processor time.

        Raises:
            MeasurementError: it does not come to rest.
        """
        deadline = time.monotonic() + _QUIET_TIME_LIMIT
        before = -1.0
        while (now := self._cpu()) - before > _QUIET_SECONDS * _QUIET_SHARE or before < 0:
            if time.monotonic() > deadline:
                raise MeasurementError("the router does not come to rest")
            before = now
            time.sleep(_QUIET_SECONDS)

    def _cpu(self) -> float:
        try:
            return read_cpu(self._process.pid)
        except ProcessLookupError as error:
            raise self._failure() from error

    def _await(self, lines: set[str], timeout: float) -> float:
        with self._news:
            if not self._news.wait_for(
                lambda: self._ended or lines <= self._said.keys(), timeout=timeout
            ):
                missing = sorted(lines - self._said.keys())
                raise MeasurementError(
                    f"the router did not say within {timeout:.0f} s: {missing[0]!r} "
                    f"({len(missing)} lines missing); its last one is {self._last_line!r}"
                )
            if not lines <= self._said.keys():
                raise self._failure()
            return max(self._said[line] for line in lines)

    @property
    def _last_line(self) -> str:
        return self._last[0] if self._last else ""

    def _failure(self) -> MeasurementError:
        return MeasurementError(f"the router has ended: {self._last_line}")

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            message = json.loads(line)["message"]
            with self._news:
                self._said.setdefault(message, time.monotonic())
                self._last.append(message)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            status = self._process.wait(_STOP_TIME_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._listener.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
        if status and error is None and not self._is_killed:
            raise MeasurementError(f"the router ended with status {status}: {self._last_line}")
