"""Ctrl-C and SIGTERM, so that every command ends in one way.

A signal raises in the main thread, wherever that is. Where it is inside a callback of the Kafka
client, the client loses the exception and raises `SystemError` instead. So code that waits for the
client defers signals, and what comes out of the rest is translated.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNAL_STATUS = 128
_PATIENCE = 5.0
"""Seconds that a signal waits at most; somebody may have stopped reading what is written."""


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived."""


class Signals:
    """What this process does with SIGINT and SIGTERM."""

    def __init__(self) -> None:
        self.received: KeyboardInterrupt | None = None
        """The last one, as it was or will be raised."""
        self._on_signal: Callable[[], None] | None = None
        self._wakeup: int | None = None

    def install(self) -> None:
        """Take both signals from now on. Call it in the main thread."""
        # A shell lets its background jobs ignore Ctrl-C; a script that sends SIGINT means it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self._lose_patience)
            self._wakeup, writer = os.pipe()
            os.set_blocking(writer, False)
            signal.set_wakeup_fd(writer)

    def wait_readable(self, descriptor: int) -> None:
        """Wait for something to read. A signal that comes just before it still ends it."""
        if self._wakeup is not None:
            select.select([descriptor, self._wakeup], [], [])

    @contextmanager
    def deferred(self, on_signal: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Let a signal wait for the end of the block, but not long; a second one raises at once.

        Args:
            on_signal: is called by the first one, to make the block end soon.
        """
        self._on_signal = on_signal
        try:
            yield
        finally:
            self._on_signal = None
            if self.received is not None and self._wakeup is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)
        if self.received is not None:
            raise self.received

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise the signal itself for what the Kafka client made of it."""
        try:
            yield
        except SystemError as error:
            if self.received is None:
                raise
            raise self.received from error

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = _interruption(number)
        on_signal, self._on_signal = self._on_signal, None
        if on_signal is None:
            raise self.received
        if self._wakeup is not None:
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        on_signal()

    def _lose_patience(self, _: int, __: FrameType | None) -> None:
        if self.received is not None:
            raise self.received


def _interruption(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


signals = Signals()


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """Return the exit status that shells use for a process that a signal ended."""
    number = signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT
    return _SIGNAL_STATUS + number


def stop_event(*, insistently: bool) -> threading.Event:
    """Let SIGINT and SIGTERM set the returned event from now on, instead of interrupting.

    Args:
        insistently: a second one interrupts.
    """
    stop = threading.Event()

    def interrupt(number: int, _: object) -> None:
        raise _interruption(number)

    def receive(number: int, _: object) -> None:
        if insistently:
            signal.signal(number, interrupt)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, receive)
    return stop
