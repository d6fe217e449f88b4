"""What follows a handler's failure: another attempt after a while, or none, and why."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_events.errors import PortableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_RETRYING = 60.0
"""Seconds that a key may fail before each of its events has one attempt only, whatever the policy.
Positions cannot say more than so much about what is done above an event that is not."""
_MOST_DOUBLINGS = 100
"""Of the back-off: the result of many more is no number of seconds."""
_SECONDS = "a number of seconds, 0 or more"


class Retry(PortableError):  # noqa: N818 - a handler's wish
    """Raised by a handler: try this event again. It uses up an attempt.

    Args:
        after: seconds until then; None: as the policy says.

    Raises:
        UsageError: the seconds are no such number.
    """

    def __init__(self, after: float | None = None) -> None:
        if after is not None and not _is_number(after, 0):
            raise UsageError(f"Retry: after is {_SECONDS}, or None, not {after!r:.60}")
        self.after = after
        """Seconds until the next attempt; None: as the policy says."""
        super().__init__("again" if after is None else f"again after {after:g} s")


class Reject(PortableError):  # noqa: N818 - a handler's verdict
    """Raised by a handler: this event can never be handled. It becomes a dead letter at once.

    Args:
        reason: is shown with the dead letter.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        """Why it can never be handled."""
        super().__init__(reason)


class Reason(enum.StrEnum):
    """Why an event is not tried again, or was not tried at all."""

    FAILED = "failed"
    """Its attempts are used up, or the time for them."""
    FINAL = "final"
    """The policy names what the handler raised as final."""
    REJECTED = "rejected"
    """The handler raised `Reject`."""
    TIMED_OUT = "timed_out"
    """As FAILED, and the last attempt timed out."""
    UNDECODABLE = "undecodable"
    """Its payload cannot be decoded."""
    UNHANDLED = "unhandled"
    """The worker has no handler for its type."""
    PARKED = "parked"
    """An event of its key failed before it, and the key is stopped."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when an event is tried again that a handler failed on.

    A key that has failed for 60 s without going well in between gets one attempt for each of its
    events from then on, whatever this says.

    Raises:
        UsageError: a value is not what it may be.
    """

    max_attempts: int = 5
    """How often it is tried in all; 1: never again."""
    backoff: float = 0.2
    """Seconds between the first failure and the next attempt, then twice that, and so on."""
    max_backoff: float = 10
    """The most seconds between two attempts."""
    jitter: float = 0.2
    """Up to which part of those seconds is left out, by chance: so what failed together does not
    try again together."""
    timeout: float | None = None
    """Seconds that one attempt may take; None: any."""
    final: tuple[type[Exception], ...] = ()
    """Exceptions after which there is no other attempt."""

    def __post_init__(self) -> None:
        attempts, jitter, timeout, final = self.max_attempts, self.jitter, self.timeout, self.final
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            raise _bad("max_attempts", "a whole number, 1 or more", attempts)
        if not _is_number(self.backoff, 0):
            raise _bad("backoff", _SECONDS, self.backoff)
        if not _is_number(self.max_backoff, self.backoff):
            raise _bad(
                "max_backoff", "a number of seconds, not less than backoff", self.max_backoff
            )
        if not _is_number(jitter, 0) or jitter > 1:
            raise _bad("jitter", "a number from 0 to 1", jitter)
        if timeout is not None and (not _is_number(timeout, 0) or timeout == 0):
            raise _bad("timeout", "a number of seconds, more than 0, or None", timeout)
        if not isinstance(final, tuple) or not all(map(_is_exception, final)):
            raise _bad("final", "a tuple of exceptions' classes, such as (ValueError,)", final)

    def pause(self, attempt: int, random: Callable[[], float]) -> float:
        """Return the seconds to wait after an attempt; the first is 1.

        Args:
            attempt: which one failed.
            random: returns a number from 0 to 1.
        """
        doublings = min(attempt - 1, _MOST_DOUBLINGS)
        pause = min(self.backoff * 2.0**doublings, self.max_backoff)
        return pause * (1 - self.jitter * random())


def next_step(
    policy: RetryPolicy,
    error: BaseException,
    attempt: int,
    elapsed: float,
    random: Callable[[], float],
) -> float | Reason:
    """Return the seconds until an event's next attempt, or why there is none.

    Args:
        policy: of the worker.
        error: what the handler raised.
        attempt: which attempt that was; the first is 1.
        elapsed: seconds since its key failed first after it last went well.
        random: returns a number from 0 to 1.
    """
    if isinstance(error, Reject):
        return Reason.REJECTED
    if isinstance(error, policy.final) and not isinstance(error, Retry):
        return Reason.FINAL
    if attempt >= policy.max_attempts or elapsed >= LONGEST_RETRYING:
        return Reason.TIMED_OUT if isinstance(error, TimeoutError) else Reason.FAILED
    asked = error.after if isinstance(error, Retry) else None
    pause = policy.pause(attempt, random) if asked is None else asked
    return min(pause, LONGEST_RETRYING - elapsed)


def _is_number(value: object, least: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return least <= value <= sys.float_info.max


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _bad(name: str, rule: str, value: object) -> UsageError:
    return UsageError(f"RetryPolicy: {name} is {rule}, not {value!r:.60}")
