"""The worker's own tests pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from platform_events.testing import KafkaBroker
from tests.nested import run_tests, share_broker

pytestmark = pytest.mark.end_to_end

BILLING = Path(__file__).parents[2] / "examples" / "billing"


def test_the_tests_of_the_worker_pass(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    project = tmp_path / "billing"
    shutil.copytree(BILLING, project, ignore=shutil.ignore_patterns("__pycache__"))
    share_broker(kafka_broker, project)
    assert "6 passed" in run_tests(project)
