"""What a handler is told about an attempt, and what it may say before it ends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from platform_events.bus.event import Event
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

_logger = logging.getLogger("platform_events.worker")


class Context:
    """One attempt to handle an event, or a list of events. Handlers are given it."""

    __slots__ = (
        "_events", "accepted", "attempt", "deadline", "is_redrive", "partition", "subscription",
    )  # fmt: skip

    def __init__(
        self,
        attempt: int,
        subscription: str,
        partition: int,
        deadline: float | None,
        is_redrive: bool,
        events: Sequence[Event[Any]],
    ) -> None:
        """Begin an attempt on events, of which there is at least one."""
        self.attempt = attempt
        """1 for the first attempt. Of a list, the highest of its events'."""
        self.subscription = subscription
        """Name of the worker."""
        self.partition = partition
        """Partition of the stream that the events are from."""
        self.deadline = deadline
        """When the attempt is given up, by `time.monotonic()`; None: it may take any time."""
        self.is_redrive = is_redrive
        """Whether the event was a dead letter, and somebody asked for it to be handled again."""
        self.accepted: Event[Any] | None = None
        """The event of the last checkpoint."""
        self._events = events

    def checkpoint(self, event: Event[Any]) -> None:
        """Note that this event is done, and so are those before it in the list.

        It holds even if the handler fails afterwards: only what comes after `event` is tried again.
        It says nothing to the cluster by itself and returns at once.

        Args:
            event: one of those that the handler was given.

        Raises:
            UsageError: it is none of them.
        """
        if not any(one is event for one in self._events):
            what = "another event" if isinstance(event, Event) else f"a {type(event).__name__}"
            raise UsageError(
                f"checkpoint() takes one of the events that the handler was given, not {what}"
            )
        self.accepted = event

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logs to `platform_events.worker`, with subscription, attempt and the event's IDs.

        Each record has the attributes `subscription`, `event_id`, `replay_id` and `attempt`; of a
        list, the IDs are those of its first event. Payloads are never logged by themselves.
        """
        return _EventLogger(_logger, event_fields(self.subscription, self.attempt, self._events[0]))


def event_fields(subscription: str, attempt: int, event: Event[Any] | None) -> dict[str, Any]:
    """Return what log records about an event have as `extra`; None: it cannot be decoded."""
    fields: dict[str, Any] = {"subscription": subscription, "attempt": attempt}
    if event is not None:
        fields |= {"event_id": event.event_id, "replay_id": str(event.replay_id)}
    return fields


class _EventLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds an event's fields to those that a call gives."""

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs
