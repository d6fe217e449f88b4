"""What is published: the event definitions of the benchmarks and their payloads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benchmarks.shapes import (
    FLIGHTS,
    ORDERS,
    READINGS,
    REPORTS,
    Payload,
    Shape,
    bodies,
    keyed_flights,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

YEAR_OF_FLIGHTS = 336_776
"""Flights that left New York City in 2013."""
CREATED_BY = "benchmarks"
"""`CreatedById` of every event, whoever publishes it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One event definition with its payloads."""

    event: str
    """Name of the event definition."""
    label: str
    """What tables call it."""
    shape: Shape
    """Its fields and payloads."""
    partitions: int = 1
    """More than one: the shape's key is the partition key."""

    @property
    def key_field(self) -> str | None:
        """The partition key."""
        return self.shape.key if self.partitions > 1 else None

    def definition(self) -> dict[str, Any]:
        """Return the definition in the form of a file under `schemas/`."""
        head: dict[str, Any] = {"event": self.event, "label": self.label}
        if self.key_field is not None:
            head |= {"partitions": self.partitions, "partition_key": self.key_field}
        return head | {"fields": self.shape.fields}

    def payloads(self, count: int, flights: Path | None) -> Iterator[Payload]:
        """Yield `count` payloads, the same ones every time."""
        return islice(self.shape.make(flights), count)


FLIGHT = Case("Flight_Departed__e", "flight", FLIGHTS)
KILOBYTE = Case("Kilobyte_Stored__e", "1 kB", bodies(1000))
SMALL = Case("Temperature_Read__e", "three fields", READINGS)
WIDE = Case("Report_Filed__e", "fifty fields", REPORTS)
NESTED = Case("Order_Placed__e", "nested records", ORDERS)
SPREAD = Case("Flight_Spread__e", "flight on four partitions", FLIGHTS, partitions=4)
SIZES = tuple(
    Case(f"Body_{size}__e", label, bodies(size))
    for size, label in ((100, "100 B"), (1_000, "1 kB"), (10_000, "10 kB"), (100_000, "100 kB"))
)
PARTITIONS = tuple(
    Case(f"Partitions_{count}__e", str(count), bodies(100), partitions=count)
    for count in (1, 2, 4, 8, 16)
)
KEYED = {
    keys: Case(f"Flight_Keyed_{keys}__e", label, keyed_flights(keys), partitions=4)
    for keys, label in ((1, "1 key"), (100, "100 keys"))
}
"""Flights on four partitions, by how many keys they have."""
CASES = {
    case.event: case
    for case in (
        FLIGHT, KILOBYTE, SMALL, WIDE, NESTED, SPREAD, *SIZES, *PARTITIONS, *KEYED.values(),
    )
}  # fmt: skip


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
