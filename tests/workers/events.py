"""Events and contexts as handlers get them, made without a broker."""

from __future__ import annotations

from typing import Any

from platform_events import Context, Event
from platform_events.bus.event import Run
from platform_events.replay import StreamIdentity


def make_event(offset: int = 0, payload: Any = None, stream: str = "/event/Order_Placed__e") -> Any:
    """Return an event as it is read at an offset."""
    identity = StreamIdentity("cluster", "topic", 1, ())
    headers = [("ce_id", b"event-%d" % offset), ("ce_type", b"Order_Placed__e")]
    run = Run(stream, identity, 0, [0], 0)
    event: Event[Any] = Event({} if payload is None else payload, headers, offset, 0, run)
    return event


def make_context(*events: Any, attempt: int = 1) -> Context:
    return Context(attempt, "billing", 0, None, False, events or (make_event(),))
