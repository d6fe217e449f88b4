"""What ends a bus besides `close()`: a fork, and the end of the process."""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from typing import Protocol


class Closable(Protocol):
    """Something to end with the process, and to leave alone after a fork."""

    def close(self) -> None:
        """End it; doing so again does nothing."""

    def abandon(self) -> None:
        """Note that this process is a fork, in which the clients that it has cannot be used."""


_logger = logging.getLogger("platform_events")
_open: weakref.WeakSet[Closable] = weakref.WeakSet()


def register(closable: Closable) -> None:
    """Close it at exit, have it abandoned in forked children."""
    _open.add(closable)


def _close_forgotten() -> None:
    for closable in list(_open):
        try:
            closable.close()
        except Exception:
            _logger.exception("closing at exit failed")


def _abandon_in_child() -> None:
    for closable in list(_open):
        closable.abandon()


atexit.register(_close_forgotten)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_in_child)
