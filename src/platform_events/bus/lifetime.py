"""What ends a bus besides `close()`: a fork, and the end of the process."""

from __future__ import annotations

import atexit
import ctypes
import os
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Closable(Protocol):
    """Something to end with the process, and to leave alone after a fork."""

    def close(self) -> None:
        """End it; doing so again does nothing."""

    def abandon(self) -> Iterable[object]:
        """Note that this process is a fork; return the Kafka clients that must not be ended."""


_open: weakref.WeakSet[Closable] = weakref.WeakSet()


def register(bus: Closable) -> None:
    """Close `bus` at exit, abandon it in forked children."""
    _open.add(bus)


def _close_forgotten() -> None:
    for bus in list(_open):
        bus.close()


def _abandon_in_child() -> None:
    for bus in list(_open):
        for client in bus.abandon():
            # Its threads do not exist here: destroying it would wait for them for ever.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))
    _open.clear()


atexit.register(_close_forgotten)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_in_child)
