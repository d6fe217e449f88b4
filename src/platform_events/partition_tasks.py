"""What a process does for the partitions that a group gives it: a task for each, in a thread.

A group gives and takes partitions in callbacks, and while one runs, the process polls nothing. So
nothing waits there: a task that is lost is told to stop, and joined by whoever polls, later.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Key: TypeAlias = "tuple[str, int]"
"""A topic and a partition of it."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between a failure and the next round: the first, then doubled up to the longest."""
_SLICE = 0.2
"""Seconds of waiting between two looks at whether to stop."""
_logger = logging.getLogger("platform_events")


class Stopped(Exception):  # noqa: N818 - not a failure
    """The task is to end."""


class Answer(Protocol):
    """To the question whether this process has a partition, by the word of the group."""

    def wait(self, timeout: float) -> bool | None:
        """Return it; None if it is not known in time (seconds)."""


class Work(Protocol):
    """What is done for one partition, in rounds. All but `wake` is called in the task's thread."""

    @property
    def task(self) -> PartitionTask:
        """The task that does it."""

    def claim(self) -> Answer:
        """Ask whether this process has the partition; each round begins with that."""

    def run(self) -> None:
        """Work until `Stopped` is raised, or something fails; the next round follows a return."""

    def failed(self, error: Exception) -> bool:
        """Take what ended a round; return whether to pause before the next one."""

    def wake(self) -> None:
        """Let what `run` waits for return soon; any thread may call it, at any time."""


AnyWork = TypeVar("AnyWork", bound=Work)


class PartitionTask:
    """Does the work of one partition in a thread of its own, round after round, until stopped.

    Args:
        name: of the thread, and in the log.
        work: what it does.
    """

    def __init__(self, name: str, work: Work) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._nudge = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.name = name

    @property
    def is_started(self) -> bool:
        """Whether it works, or did."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin; once."""
        self._thread.start()

    def stop(self) -> None:
        """Begin to end: `check` and `pause` raise from now on."""
        with self._lock:
            self._stopping.set()
        self.wake()

    def wake(self) -> None:
        """Cut short what the task waits for, a pause too."""
        self._nudge.set()
        self._work.wake()

    def join(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the end; return whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def check(self) -> None:
        """Raise if the task is to end.

        Raises:
            Stopped: it is.
        """
        if self._stopping.is_set():
            raise Stopped

    @contextmanager
    def unless_stopped(self) -> Iterator[None]:
        """Do something that never happens after `stop` has returned. `stop` waits for it.

        Raises:
            Stopped: it is not to happen any more.
        """
        with self._lock:
            self.check()
            yield

    def pause(self) -> None:
        """Wait before something is tried again, each time for longer.

        Raises:
            Stopped: the task is to end.
        """
        pause = min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        self._failures += 1
        self._wait(pause)

    def succeed(self) -> None:
        """Note that the work goes well: the next pause is the first again."""
        self._failures = 0

    def _wait(self, seconds: float) -> None:
        self._nudge.wait(seconds)
        self._nudge.clear()
        self.check()

    def _run(self) -> None:
        with suppress(Stopped):
            while True:
                self.check()
                self._go_round()

    def _go_round(self) -> None:
        try:
            if self._has_partition():
                self._work.run()
            else:
                # Partitions change hands just now; that takes no longer each time.
                self._wait(FIRST_PAUSE)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - what it means is the work's to say
            if self._work.failed(error):
                self.pause()

    def _has_partition(self) -> bool:
        answer = self._work.claim()
        while (is_ours := answer.wait(_SLICE)) is None:
            self.check()
        return is_ours


class PartitionTasks(Generic[AnyWork]):
    """The tasks of a process's partitions, and those that end because theirs went to another.

    A partition that comes back while the task it had still ends gets its new task after that, or
    when the old one has had its time: so no two of them work on one partition, except beside one
    that hangs. Use it from the thread that polls the group.
    """

    def __init__(self) -> None:
        self._works: dict[Key, AnyWork] = {}
        self._ending: dict[Key, tuple[PartitionTask, float]] = {}
        """Tasks that are to end, and until when that is waited for."""
        self._is_closed = False

    def works(self) -> dict[Key, AnyWork]:
        """Return what is done, or is to begin, for the partitions that the process has.

        Any thread may ask.
        """
        return self._works.copy()

    def gain(self, key: Key, work: AnyWork) -> None:
        """Begin to work on a partition as soon as possible. It waits for nothing."""
        if self._is_closed:
            return
        self._works[key] = work
        if key not in self._ending:
            work.task.start()

    def lose(self, key: Key, patience: float) -> None:
        """Let the work on a partition end, if there is any. It waits for nothing.

        Args:
            key: the partition.
            patience: seconds within which the task should end.
        """
        work = self._works.pop(key, None)
        if work is None:
            return
        work.task.stop()
        if work.task.is_started:
            self._ending[key] = (work.task, time.monotonic() + patience)

    def tend(self) -> None:
        """Join what has ended, and begin what waited for that. Call it between polls."""
        self._join(0)
        for key, work in self._works.items():
            if key not in self._ending and not work.task.is_started:
                work.task.start()

    def close(self, patience: float) -> None:
        """Let everything end, each within `patience` seconds, and begin nothing any more."""
        self._is_closed = True
        for key in self.works():
            self.lose(key, patience)

    def await_ends(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; return whether nothing is left that should end."""
        self._join(timeout)
        return not self._ending

    def _join(self, timeout: float) -> None:
        """Wait for tasks that are to end; those that have had their time are left to themselves."""
        until = time.monotonic() + timeout
        for key, (task, deadline) in list(self._ending.items()):
            if not task.join(max(min(until, deadline) - time.monotonic(), 0)):
                if time.monotonic() < deadline:
                    continue
                _logger.warning("%s does not end, and is not waited for any more", task.name)
            del self._ending[key]
