"""What the log says of logins and refusals: names, tenants and addresses, never a secret."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from platform_events.wording import listed, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.service.access import Session

_TOLD_EVERY = 60.0
"""Seconds between two lines of one kind of refusal: some clients repeat it without a pause."""
_MOST = 1_000
_logger = logging.getLogger("platform_events.service")


class AccessLog:
    """Tells who was let in, and who was not. For any thread.

    Args:
        clock: seconds of any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: OrderedDict[tuple[str, ...], tuple[float, int]] = OrderedDict()
        """Of each kind, when it was told, and how often it came since."""

    def logged_in(self, session: Session, address: str) -> None:
        """Tell that somebody has logged in."""
        _logger.info(
            "%s of tenant %s logged in from %s", session.principal, session.tenant, address
        )

    def login_refused(self, name: str, address: str, reason: str) -> None:
        """Tell that somebody was not let in.

        Args:
            name: as it was given.
            address: where from.
            reason: why, in words.
        """
        self._refuse(
            f"login of {shown(name)} from {address} refused: {reason}", name, address, reason
        )

    def call_refused(self, address: str, reason: str) -> None:
        """Tell that a call came without a good token."""
        self._refuse(f"call from {address} refused: {reason}", address, reason)

    def right_refused(self, session: Session, address: str) -> None:
        """Tell what a session was not let do."""
        missing = listed([f"{right} {stream}" for right, stream in sorted(session.refused)])
        self._refuse(
            f"call of {session.principal} of tenant {session.tenant} from {address} refused: "
            f"it may not {missing}",
            session.principal, session.tenant, address, missing,
        )  # fmt: skip

    def ended(self, session: Session, address: str, reason: str) -> None:
        """Tell that a stream was ended."""
        _logger.warning(
            "a stream of %s of tenant %s to %s was ended: %s",
            session.principal,
            session.tenant,
            address,
            reason,
        )

    def _refuse(self, line: str, *kind: str) -> None:
        with self._lock:
            now = self._clock()
            told_at, since = self._told.get(kind, (now - _TOLD_EVERY, 0))
            if now - told_at < _TOLD_EVERY:
                self._told[kind] = told_at, since + 1
                return
            self._told[kind] = now, 0
            self._told.move_to_end(kind)
            if len(self._told) > _MOST:
                self._told.popitem(last=False)
        _logger.warning("%s%s", line, f" ({since} more since the last line)" if since else "")
