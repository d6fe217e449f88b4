"""What all feeders of a router share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.catalog.live import Catalog
    from platform_events.channels.semaphore import FairSemaphore
    from platform_events.channels.states import Progress, Statements
    from platform_events.kafka.admin import Admin
    from platform_events.kafka.tail import Tail
    from platform_events.kafka.watch import TopicWatch
    from platform_events.settings import Settings


@dataclass(frozen=True, slots=True)
class FeederContext:
    """The parts of a router that its feeders work with. All of them are thread-safe."""

    settings: Settings
    name: str
    """By which others know this router."""
    admin: Admin
    catalog: Catalog
    watch: TopicWatch
    tail: Tail
    catching_up: FairSemaphore
    """Few at a time: each takes a consumer for every partition that is read."""
    statements: Statements
    """Where feeders say how it goes."""
    on_progress: Callable[[str, int, Progress | None], None]
    """Is told of a channel and partition how far catching up is; None when it is over."""
