"""Tests that a test runs: in a pytest of their own, with the broker of this run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from platform_events.testing import KafkaBroker

_CONFTEST = """
import pytest
from platform_events.testing import BrokerAccess, KafkaBroker

@pytest.fixture(scope="session")
def kafka_broker():
    return {broker}
"""


def share_broker(broker: KafkaBroker, directory: Path) -> None:
    """Have tests in a directory use this broker instead of one of their own."""
    access = broker.access
    shown = None if access is None else f"BrokerAccess({access.address!r}, {access.invitation!r})"
    text = f"KafkaBroker({broker.bootstrap_servers!r}, {shown})"
    (directory / "conftest.py").write_text(_CONFTEST.format(broker=text))


def run_tests(directory: Path, *arguments: str) -> str:
    """Run the tests of a project as a user does; return what pytest prints.

    The environment says nothing of this run.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "PLATFORM_EVENTS_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
