from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from tests.support import KEYED, ORDER, apply_texts


@pytest.fixture
def bus(settings: Settings, tmp_path: Path) -> Iterator[EventBus]:
    """A bus on which Order_Placed__e (one partition) and Reading_Taken__e (three) exist."""
    apply_texts(settings, tmp_path / "schemas", ORDER, KEYED)
    with EventBus(settings) as bus:
        yield bus
