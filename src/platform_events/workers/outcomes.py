"""What becomes of an event whose handler has failed, or that has none."""

from __future__ import annotations

import logging
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_events.workers.dead_letter import LONGEST_MESSAGE, LONGEST_TRACEBACK
from platform_events.workers.policy import Reason, Reject, Retry

if TYPE_CHECKING:
    from platform_events.workers.lanes import Item, Lane

_logger = logging.getLogger("platform_events.worker")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event becomes a dead letter."""

    reason: Reason
    message: str
    traceback: str
    attempts: int
    first_failure_ms: int
    last_failure_ms: int
    stops_key: bool = False
    """Whether later events of its key are parked from now on."""


def describe_failure(
    lane: Lane, reason: Reason, error: BaseException, *, stops_key: bool
) -> Failure:
    """Return what is kept of the last failure of a lane's first event."""
    now_ms = time.time_ns() // 1_000_000
    text = in_words(error)
    lines = "" if isinstance(error, Reject) else "".join(traceback.format_exception(error))
    return Failure(
        reason,
        text[:LONGEST_MESSAGE],
        lines[-LONGEST_TRACEBACK:],
        lane.attempt,
        lane.first_failure_ms or now_ms,
        now_ms,
        stops_key,
    )


def in_words(error: BaseException) -> str:
    """Return what a handler raised, as one says it."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the error of an error tells nothing
        text = "(its text cannot be had)"
    return text if isinstance(error, (Reject, Retry)) else f"{type(error).__name__}: {text}"


def without_handling(reason: Reason, message: str) -> Failure:
    """Return why an event becomes a dead letter that no handler was tried on."""
    now_ms = time.time_ns() // 1_000_000
    return Failure(reason, message[:LONGEST_MESSAGE], "", 0, now_ms, now_ms)


def log_failure(subscription: str, item: Item, attempt: int, what: str, error: object) -> None:
    """Log what became of an attempt, with IDs and without payload."""
    event = item.event
    _logger.warning(
        "%s: %s%s: %s",
        subscription,
        what,
        f" after attempt {attempt}" if attempt else "",
        error,
        extra={
            "subscription": subscription,
            "event_id": event.event_id if event is not None else None,
            "replay_id": str(event.replay_id) if event is not None else None,
            "attempt": attempt,
        },
    )
