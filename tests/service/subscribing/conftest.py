"""A service with a stream of one partition, one of three, and a channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from platform_events.settings import Settings
from tests.channels.samples import channel, event
from tests.service.pubsub import Client, Served, serving
from tests.service.subscribed import CHANNEL, KEYED, A


@pytest.fixture
def served(settings: Settings, define: Callable[..., None]) -> Iterator[Served]:
    define(event(A), event(KEYED, 3), channel(CHANNEL, A))
    with serving(settings) as target:
        yield target


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    client = Client(served)
    yield client
    client.close()
