"""An event bus on Apache Kafka: event definitions, ordered streams, replay IDs."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from platform_events.errors import *  # noqa: F403
from platform_events.errors import __all__ as _errors

if TYPE_CHECKING:
    from platform_events.bus.aio import AsyncEventBus, AsyncSubscription
    from platform_events.bus.bus import EventBus
    from platform_events.bus.cluster import Cluster
    from platform_events.bus.event import Event
    from platform_events.bus.subscription import Subscription
    from platform_events.bus.values import EventMessage, PublishResult, PublishStatus, Start
    from platform_events.envelope import Origin
    from platform_events.replay import (
        ReplayCorruptedError,
        ReplayError,
        ReplayExpiredError,
        ReplayFutureError,
        ReplayId,
        ReplayRecreatedError,
        ReplayWrongStreamError,
    )
    from platform_events.settings import Settings
    from platform_events.workers.context import Context
    from platform_events.workers.interceptors import Interceptor
    from platform_events.workers.policy import Reject, Retry, RetryPolicy
    from platform_events.workers.worker import Worker

__all__ = [  # noqa: PLE0604
    "AsyncEventBus",
    "AsyncSubscription",
    "Cluster",
    "Context",
    "Event",
    "EventBus",
    "EventMessage",
    "Interceptor",
    "Origin",
    "PublishResult",
    "PublishStatus",
    "Reject",
    "ReplayCorruptedError",
    "ReplayError",
    "ReplayExpiredError",
    "ReplayFutureError",
    "ReplayId",
    "ReplayRecreatedError",
    "ReplayWrongStreamError",
    "Retry",
    "RetryPolicy",
    "Settings",
    "Start",
    "Subscription",
    "Worker",
    *_errors,
]

_HOMES = {
    "bus.aio": ("AsyncEventBus", "AsyncSubscription"),
    "bus.bus": ("EventBus",),
    "bus.cluster": ("Cluster",),
    "bus.event": ("Event",),
    "bus.subscription": ("Subscription",),
    "bus.values": ("EventMessage", "PublishResult", "PublishStatus", "Start"),
    "envelope": ("Origin",),
    "replay": (
        "ReplayCorruptedError", "ReplayError", "ReplayExpiredError", "ReplayFutureError",
        "ReplayId", "ReplayRecreatedError", "ReplayWrongStreamError",
    ),
    "settings": ("Settings",),
    "workers.context": ("Context",),
    "workers.interceptors": ("Interceptor",),
    "workers.policy": ("Reject", "Retry", "RetryPolicy"),
    "workers.worker": ("Worker",),
}  # fmt: skip
"""Where each name comes from. They are imported when first used: the commands `--help` and
`check`, and whatever only needs an error, then start without the Kafka client."""

logging.getLogger("platform_events").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"platform_events.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
