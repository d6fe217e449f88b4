"""Whatever happens to workers, each event is handled at least once, those of a key in order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from tests.workers.crew import Crew, job_id, job_stream, publish_jobs
from tests.workers.noting import Behaviour

pytestmark = pytest.mark.timeout(900)

Define = Callable[..., None]
Hire = Callable[..., Crew]


@pytest.fixture
def hire(settings: Settings, tmp_path: Path) -> Iterator[Hire]:
    """Get workers that behave so."""
    crews: list[Crew] = []

    def hire(**behaviour: object) -> Crew:
        crews.append(Crew(settings, tmp_path, Behaviour(**behaviour)))  # type: ignore[arg-type]
        return crews[-1]

    yield hire
    for crew in crews:
        crew.close()


def test_a_worker_is_killed_twenty_times(
    bus: EventBus, define: Define, hire: Hire, source: random.Random
) -> None:
    """What was finished since the last commit is handled again, and only that."""
    define(job_stream(partitions=2))
    publish_jobs(bus, range(60_000), keys=100)
    crew = hire(commit_seconds=1.0, seconds=0.002, poison=997)
    for number in range(20):
        worker = crew.start()
        if number % 4 == 3:
            # At any point of its start.
            time.sleep(source.uniform(0.1, 2.0))
        else:
            crew.await_more(source.randint(1, 5_000))
        crew.kill(worker)
    worker = crew.start()
    crew.await_through()
    poison = {job_id(number) for number in range(0, 60_000, 997)}
    findings = crew.check(bus, poison=poison)
    assert findings.again, "nothing was handled again, so the kills were no test"
    worker.leave()
