"""Definitions that several tests of plans begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_events.definitions.model import Definitions
from tests.catalog.world import BOTH, ORDER
from tests.support import KEYED, load


@pytest.fixture
def sales(tmp_path: Path) -> Definitions:
    return load(tmp_path, ORDER, KEYED, BOTH)
