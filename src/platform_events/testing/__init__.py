"""Pytest fixtures for code that uses an event bus.

They are there as soon as the package is installed with its extra `local`, in every test run:

- `kafka_broker` (session): a real Kafka, started when the first test asks for it, and shared by
  all pytest-xdist workers. Its `bootstrap_servers` is what `EventBus` takes.
- `tenant` (function): a tenant name that no other test uses, which isolates tests on that broker.
- `event_bus`, `async_event_bus` (function): a bus of that tenant, with the definitions of the
  project's `schemas/` applied. What reads a channel of it finds a router.
- `expire` (function): deletes events as retention does.
- `break_broker` (function): cuts the test's buses off from the broker.

`PLATFORM_EVENTS_TEST_BROKER` chooses what `kafka_broker` is: `local` (the default), the embedded
Kafka, or `container`, the image apache/kafka through testcontainers.

`run_worker`, in asynchronous tests `run_worker_async`, runs a worker until it is done, and has
happen to it what its `faults` say.

A test that must stop, pause or kill brokers starts its own:

```python
from platform_events.kafka.local import LocalKafka

with LocalKafka(brokers=3) as kafka:
    kafka.kill(2)
```
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from platform_events.testing.faults import (
        CrashBeforeCommit,
        DuplicateDelivery,
        Expire,
        ForgetPositions,
        Rebalance,
    )
    from platform_events.testing.happenings import Attempt, DeadLetter, WorkerRun
    from platform_events.testing.workers import run_worker, run_worker_async

__all__ = [
    "Attempt",
    "BrokerAccess",
    "CrashBeforeCommit",
    "DeadLetter",
    "DuplicateDelivery",
    "Expire",
    "ForgetPositions",
    "KafkaBroker",
    "Rebalance",
    "WorkerRun",
    "run_worker",
    "run_worker_async",
]

_HOMES = {
    "faults": ("CrashBeforeCommit", "DuplicateDelivery", "Expire", "ForgetPositions", "Rebalance"),
    "happenings": ("Attempt", "DeadLetter", "WorkerRun"),
    "workers": ("run_worker", "run_worker_async"),
}
"""Where each name comes from that is imported when it is first used."""


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"platform_events.testing.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """How a test that breaks its broker gets there."""

    address: str
    """`host:port` of the proxy in the process that keeps the broker."""
    invitation: tuple[str, ...]
    """With which that process is asked to cut somebody off."""


@dataclass(frozen=True, slots=True)
class KafkaBroker:
    """What the fixture `kafka_broker` gives."""

    bootstrap_servers: str
    """`host:port`, reachable from this machine without authentication."""
    access: BrokerAccess | None = field(default=None, repr=False)
    """For `break_broker`; None for a broker that has no proxy."""
