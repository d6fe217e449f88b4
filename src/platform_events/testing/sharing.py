"""One broker for all processes of a test run."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Literal, Protocol, Self

from platform_events.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BROKER_VARIABLE = "PLATFORM_EVENTS_TEST_BROKER"
_POLL_SECONDS = 0.1


class Broker(Protocol):
    """What runs a broker: `LocalKafka` or `ContainerKafka`."""

    bootstrap_servers: str

    def start(self) -> None:
        """Start it and return when it serves clients."""

    def stop(self) -> None:
        """Stop it and remove what it stored."""


def make_broker() -> Broker:
    """Return the broker that the environment asks for, not started.

    Raises:
        ConfigurationError: PLATFORM_EVENTS_TEST_BROKER is neither `local` nor `container`.
    """
    kind = os.environ.get(BROKER_VARIABLE) or "local"
    if kind == "local":
        from platform_events.kafka.local import LocalKafka

        return LocalKafka()
    if kind == "container":
        from platform_events.testing.container import ContainerKafka

        return ContainerKafka()
    raise ConfigurationError(f"{BROKER_VARIABLE}={kind!r}: use local or container")


class BrokerLease:
    """This process's use of the run's broker.

    The first process of the run that asks starts the broker and owns it. Ownership and use are
    file locks, which the system releases however their holder ends: so the owner knows when it is
    the last, and the next process starts a new broker if the owner crashed.
    """

    def __init__(self, directory: Path | None, make: Callable[[], Broker] = make_broker) -> None:
        """Join the broker of `directory`, which all processes of the run name; None: share none."""
        self._directory = directory
        self._make = make
        self._broker: Broker | None = None
        self._ownership: _FileLock | None = None
        self._use: _FileLock | None = None

    def acquire(self) -> str:
        """Return the address of the run's broker, started if need be.

        Raises:
            PlatformEventsError: it cannot be started.
        """
        if self._directory is None:
            return self._start()
        with self._mutex(self._directory):
            with ExitStack() as undo:
                owner = undo.enter_context(_FileLock(self._directory / "kafka-owner"))
                if owner.try_lock("exclusive"):
                    address = self._start()
                    owner.write(address)
                    undo.pop_all()
                    self._ownership = owner
                else:
                    address = owner.read()
            self._use = _FileLock(self._directory / "kafka-use")
            self._use.try_lock("shared")
            return address

    def release(self) -> None:
        """Give the broker up. Its owner waits here until nobody uses it, then stops it."""
        if self._directory is not None and self._ownership is not None:
            self._await_others(self._directory, self._ownership)
        if self._use is not None:
            self._use.close()
        if self._broker is not None:
            self._broker.stop()
            self._broker = None

    def _start(self) -> str:
        broker = self._make()
        broker.start()
        self._broker = broker
        return broker.bootstrap_servers

    def _await_others(self, directory: Path, ownership: _FileLock) -> None:
        assert self._use is not None
        while True:
            # Under the mutex, so that nobody joins between the last one's leaving and the end.
            with self._mutex(directory):
                if self._use.try_lock("exclusive"):
                    ownership.close()
                    return
            time.sleep(_POLL_SECONDS)

    @staticmethod
    @contextmanager
    def _mutex(directory: Path) -> Iterator[None]:
        with _FileLock(directory / "kafka-mutex") as lock:
            while not lock.try_lock("exclusive"):
                time.sleep(_POLL_SECONDS)
            yield


class _FileLock:
    """A file that is a lock between processes; the system releases it when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def try_lock(self, mode: Literal["shared", "exclusive"]) -> bool:
        """Lock, or change the mode of the lock. False if another process is in the way."""
        import fcntl  # not on Windows, where this module can be imported all the same

        flag = fcntl.LOCK_SH if mode == "shared" else fcntl.LOCK_EX
        try:
            fcntl.flock(self._file, flag | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def read(self) -> str:
        """Return what the file holds."""
        self._file.seek(0)
        return self._file.read()

    def write(self, text: str) -> None:
        """Make `text` all that the file holds."""
        self._file.truncate(0)
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        """Unlock, whoever inherited the descriptor."""
        import fcntl  # not on Windows

        if not self._file.closed:
            fcntl.flock(self._file, fcntl.LOCK_UN)
            self._file.close()
