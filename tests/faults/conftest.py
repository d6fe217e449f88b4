from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_events.settings import Settings
from tests.faults.processes import Fleet

SEED = 20_261


@pytest.fixture
def fleet(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(settings, tmp_path)
    yield fleet
    fleet.close()


@pytest.fixture
def source() -> random.Random:
    """Randomness that is the same in each run."""
    return random.Random(SEED)
