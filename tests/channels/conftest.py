from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from platform_events.testing import KafkaBroker
from tests.channels.routing import RunningRouter, routing
from tests.support import apply_texts


@pytest.fixture
def settings(kafka_broker: KafkaBroker, tenant: str) -> Settings:
    return Settings(bootstrap_servers=kafka_broker.bootstrap_servers, tenant=tenant)


@pytest.fixture
def bus(settings: Settings) -> Iterator[EventBus]:
    with EventBus(settings) as bus:
        yield bus


@pytest.fixture
def define(settings: Settings, tmp_path: Path) -> Callable[..., None]:
    """Apply definitions given as YAML texts; those that are not given any more are pruned."""

    def define(*documents: str, prune: bool = True) -> None:
        apply_texts(settings, tmp_path / "schemas", *documents, prune=prune)

    return define


@pytest.fixture
def start_router(settings: Settings) -> Iterator[Callable[[], RunningRouter]]:
    """Start a router; it is stopped at the end, unless the test has done it."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(routing(settings))
