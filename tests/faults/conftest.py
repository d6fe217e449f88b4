from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from platform_events.testing import KafkaBroker
from tests.faults.processes import Fleet
from tests.support import apply_texts

SEED = 20_261


@pytest.fixture
def settings(kafka_broker: KafkaBroker, tenant: str) -> Settings:
    return Settings(bootstrap_servers=kafka_broker.bootstrap_servers, tenant=tenant)


@pytest.fixture
def bus(settings: Settings) -> Iterator[EventBus]:
    with EventBus(settings) as bus:
        yield bus


@pytest.fixture
def define(settings: Settings, tmp_path: Path) -> Callable[..., None]:
    """Apply definitions given as YAML texts."""

    def define(*documents: str) -> None:
        apply_texts(settings, tmp_path / "schemas", *documents)

    return define


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(settings, tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def source() -> random.Random:
    """Randomness that is the same in each run."""
    return random.Random(SEED)
