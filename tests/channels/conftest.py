from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from platform_events.settings import Settings
from tests.channels.routing import RunningRouter, routing


@pytest.fixture
def start_router(settings: Settings) -> Iterator[Callable[[], RunningRouter]]:
    """Start a router; it is stopped at the end, unless the test has done it."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(routing(settings))
