"""An event bus on Apache Kafka: event definitions, ordered streams, replay IDs."""

from __future__ import annotations

import logging

from platform_events.bus.aio import AsyncEventBus, AsyncSubscription
from platform_events.bus.bus import EventBus
from platform_events.bus.subscription import Subscription
from platform_events.bus.values import (
    Event,
    EventMessage,
    Origin,
    PublishResult,
    PublishStatus,
    Start,
)
from platform_events.errors import *  # noqa: F403
from platform_events.errors import __all__ as _errors
from platform_events.replay import ReplayId
from platform_events.settings import Settings

__all__ = [  # noqa: PLE0604
    "AsyncEventBus",
    "AsyncSubscription",
    "Event",
    "EventBus",
    "EventMessage",
    "Origin",
    "PublishResult",
    "PublishStatus",
    "ReplayId",
    "Settings",
    "Start",
    "Subscription",
    *_errors,
]

logging.getLogger("platform_events").addHandler(logging.NullHandler())
