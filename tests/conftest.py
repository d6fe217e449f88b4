"""What the project's own tests need beyond the fixtures that the package brings."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from platform_events.testing import KafkaBroker
from tests.support import apply_texts

# A busy machine makes single examples slow, which says nothing about the code; and whether a run
# passes depends on the code alone. EXPLORE=1 looks for examples that nobody has tried.
hypothesis.settings.register_profile(
    "project", deadline=None, derandomize="EXPLORE" not in os.environ
)
hypothesis.settings.load_profile("project")


# A shell has what it runs in the background ignore Ctrl-C, and every program started here would.
signal.signal(signal.SIGINT, signal.default_int_handler)


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

    def define(*documents: str, prune: bool = True, allow_growth: bool = False) -> None:
        directory = tmp_path / "schemas"
        apply_texts(settings, directory, *documents, prune=prune, allow_growth=allow_growth)

    return define
