"""A worker that writes down what its handler does, for processes that tests start and kill.

    platform-events work tests.workers.noting:app

The variable NOTING says how it is, as JSON: the fields of `Behaviour`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from platform_events import Context, Event, Retry, RetryPolicy, Start, Worker
from platform_events.kafka import members
from platform_events.workers import intake
from tests.workers.handlings import Notebook

VARIABLE = "NOTING"
STREAM = "Job__e"
NAME = "billing"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What is different from one test to the next."""

    notebook: str = ""
    """Path of the file in which handlings are written down."""
    process: str = ""
    """What this process is called there."""
    options: dict[str, Any] = field(default_factory=dict)
    """Of the worker, but for its retry policy."""
    attempts: int = 1
    """How often an event is tried."""
    seconds: float = 0.0
    """How long handling takes."""
    poison: int = 0
    """Each so manieth event cannot be handled; 0: none."""
    poison_key: str = ""
    """Nor any of this key."""
    incurable: str = ""
    """Another such key, which stays so."""
    waits_for: str = ""
    """Event ID of one that is never done, until this worker ends."""
    late: int = 0
    """Each so manieth event is tried again later, until all are cured; 0: none."""
    cured: str = ""
    """Path; once it is there, all others can."""
    commit_seconds: float = intake.COMMIT_SECONDS
    poll_seconds: float = 300.0
    """After so many seconds without a poll a member loses what it has."""

    def fails(self, number: int, key: str) -> bool:
        """Whether an event cannot be handled."""
        if key and key == self.incurable:
            return True
        is_poison = bool(self.poison and number % self.poison == 0)
        if not is_poison and (not key or key != self.poison_key):
            return False
        return not self.is_cured()

    def is_cured(self) -> bool:
        """Whether what could not be handled can be."""
        return bool(self.cured) and Path(self.cured).exists()


def make_worker(behaviour: Behaviour) -> Worker:
    """Return a worker that behaves so."""
    notebook = Notebook(Path(behaviour.notebook), behaviour.process)
    retry = RetryPolicy(max_attempts=behaviour.attempts, backoff=0.05, max_backoff=0.1)
    options = {"start": Start.EARLIEST} | behaviour.options
    worker = Worker(NAME, STREAM, retry=retry, **options)

    @worker.handler
    async def note(event: Event[dict[str, Any]], context: Context) -> None:
        event_id = event.event_id
        notebook.begin(event_id, context.attempt, is_redrive=context.is_redrive)
        number = event.payload["number"]
        if event_id == behaviour.waits_for:
            await asyncio.sleep(3600)
        if behaviour.late and number % behaviour.late == 0 and not behaviour.is_cured():
            raise Retry(after=20.0)
        if behaviour.seconds:
            await asyncio.sleep(behaviour.seconds)
        if behaviour.fails(number, event.payload["key"]):
            raise ValueError("poison")
        notebook.complete(event_id, context.attempt)

    return worker


def to_environment(behaviour: Behaviour) -> dict[str, str]:
    """Return the variables by which a process is told."""
    return {VARIABLE: json.dumps(asdict(behaviour))}


if VARIABLE in os.environ and "pytest" not in sys.modules:
    _behaviour = Behaviour(**json.loads(os.environ[VARIABLE]))
    intake.COMMIT_SECONDS = _behaviour.commit_seconds
    assert hasattr(members, "_POLL_INTERVAL_MS")
    members._POLL_INTERVAL_MS = int(_behaviour.poll_seconds * 1000)
    app = make_worker(_behaviour)
