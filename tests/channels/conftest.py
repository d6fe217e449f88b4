from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from tests.channels.routing import Define, StartRouter, publish, route_once, routing
from tests.channels.samples import NAME, A, B, channel


@pytest.fixture
def start_router(settings: Settings) -> Iterator[StartRouter]:
    """Start a router; it is stopped at the end, unless the test has done it."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(routing(settings))


@pytest.fixture
def routed(settings: Settings, bus: EventBus, define: Define) -> tuple[str, ...]:
    """Return the definitions of a channel and two members, whose ten events each are routed."""
    documents = (A, B, channel(NAME, "A__e", "B__e"))
    define(*documents)
    publish(bus, "A__e", range(10))
    publish(bus, "B__e", range(10))
    route_once(settings, NAME)
    return documents
