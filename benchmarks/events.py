"""What is published: the event definitions of the benchmarks and their payloads."""

from __future__ import annotations

import csv
import gzip
import random
import string
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, TextIO
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Payload = dict[str, Any]

YEAR_OF_FLIGHTS = 336_776
"""Flights that left New York City in 2013."""
CREATED_BY = "benchmarks"
"""`CreatedById` of every event, whoever publishes it."""
PARTITION_KEY = "key"
_KEYS = 1000
_BODIES = 64


@dataclass(frozen=True, slots=True)
class Case:
    """One event definition with its payloads."""

    event: str
    """Name of the event definition."""
    label: str
    """What tables call it."""
    partitions: int = 1
    """More than one: the payloads carry a `key` field that is the partition key."""
    size: int | None = None
    """Characters of the body; None: flights."""

    def definition(self) -> dict[str, Any]:
        """Return the definition in the form of a file under `schemas/`."""
        head: dict[str, Any] = {"event": self.event, "label": self.label}
        if self.size is None:
            return head | {"fields": _FLIGHT_FIELDS}
        if self.partitions > 1:
            head |= {"partitions": self.partitions, "partition_key": PARTITION_KEY}
        return head | {
            "fields": [
                {"name": PARTITION_KEY, "type": "string"},
                {"name": "body", "type": "string"},
            ]
        }

    def payloads(self, count: int, flights: Path | None) -> Iterator[Payload]:
        """Yield `count` payloads, the same ones every time."""
        if self.size is not None:
            return islice(_bodies(self.size), count)
        return islice(read_flights(flights) if flights else synthesize_flights(), count)


_FLIGHT_FIELDS: list[dict[str, Any]] = [
    {"name": "carrier", "type": "string"},
    {"name": "flight", "type": "int"},
    {"name": "tailnum", "type": "string", "optional": True},
    {"name": "origin", "type": "string"},
    {"name": "dest", "type": "string"},
    {"name": "scheduled", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "delay", "type": "int", "optional": True, "doc": "Minutes; null: cancelled."},
    {"name": "distance", "type": "int", "doc": "Miles."},
]

FLIGHT = Case("Flight_Departed__e", "flight")
KILOBYTE = Case("Kilobyte_Stored__e", "1 kB", size=1000)
SIZES = tuple(
    Case(f"Body_{size}__e", label, size=size)
    for size, label in ((100, "100 B"), (1_000, "1 kB"), (10_000, "10 kB"), (100_000, "100 kB"))
)
PARTITIONS = tuple(
    Case(f"Partitions_{count}__e", str(count), partitions=count, size=100)
    for count in (1, 2, 4, 8, 16)
)
CASES = {case.event: case for case in (FLIGHT, KILOBYTE, *SIZES, *PARTITIONS)}


def read_flights(path: Path) -> Iterator[Payload]:
    """Yield the flights of a CSV file (plain or gzip) with the columns of `nycflights13`."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="", encoding="utf-8") as file:
        yield from _parse_flights(file)


def _parse_flights(file: TextIO) -> Iterator[Payload]:
    for row in csv.DictReader(file):
        yield {
            "carrier": row["carrier"],
            "flight": int(row["flight"]),
            "tailnum": _known(row["tailnum"]),
            "origin": row["origin"],
            "dest": row["dest"],
            "scheduled": datetime.fromisoformat(row["time_hour"]),
            "delay": None if _known(row["dep_delay"]) is None else int(row["dep_delay"]),
            "distance": int(row["distance"]),
        }


def _known(text: str) -> str | None:
    return None if text in ("", "NA") else text


def synthesize_flights() -> Iterator[Payload]:
    """Yield made-up flights of the same shape, sizes and share of missing values, without end."""
    dice = random.Random(2013)
    scheduled = datetime(2013, 1, 1, 5, tzinfo=UTC)
    while True:
        scheduled += timedelta(seconds=94)
        yield {
            "carrier": dice.choice(("UA", "B6", "EV", "DL", "AA", "MQ", "US", "9E", "WN", "VX")),
            "flight": dice.randrange(1, 6200),
            "tailnum": None if dice.random() < 0.007 else f"N{dice.randrange(100, 999)}UA",
            "origin": dice.choice(("EWR", "JFK", "LGA")),
            "dest": dice.choice(("ORD", "ATL", "LAX", "BOS", "MCO", "CLT", "SFO", "FLL", "MIA")),
            "scheduled": scheduled.replace(minute=0, second=0),
            "delay": None if dice.random() < 0.025 else dice.randrange(-20, 120),
            "distance": dice.randrange(80, 2600),
        }


def _bodies(size: int) -> Iterator[Payload]:
    # Random letters, so that lz4 finds nothing to shorten and sizes are what they say.
    dice = random.Random(size)
    bodies = ["".join(dice.choices(string.ascii_letters, k=size)) for _ in range(_BODIES)]
    keys = [f"key-{number:04}" for number in range(_KEYS)]
    for key, body in zip(cycle(keys), cycle(bodies), strict=False):
        yield {PARTITION_KEY: key, "body": body}


@dataclass(frozen=True, slots=True)
class Digest:
    """What identifies a set of events: two sets with equal digests hold the same events."""

    count: int
    """Event IDs seen, repeated ones included."""
    distinct: int
    """Different event IDs seen."""
    checksum: str
    """Sum of the UUIDs modulo 2**128, in hexadecimal. Does not depend on the order."""


def digest(ids: Iterable[str]) -> Digest:
    """Summarise event IDs."""
    seen = list(ids)
    total = sum(UUID(event_id).int for event_id in seen) % 2**128
    return Digest(len(seen), len(set(seen)), f"{total:032x}")
