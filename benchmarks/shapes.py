"""What payloads look like: the fields of an event, and the same values for them every time."""

from __future__ import annotations

import csv
import gzip
import random
import string
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Payload = dict[str, Any]

_KEYS = 1000
_BODIES = 64
_REPORTS = 512


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of an event, and payloads for them."""

    fields: list[dict[str, Any]]
    """As in a definition file."""
    key: str
    """The field that is the partition key of a stream with several partitions."""
    make: Callable[[Path | None], Iterator[Payload]]
    """Yields payloads without end, or those of a file of flights."""
    size: int = 0
    """Characters of the body; 0: there is none."""


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


FLIGHTS = Shape(
    fields=[
        {"name": "carrier", "type": "string"},
        {"name": "flight", "type": "int"},
        {"name": "tailnum", "type": "string", "optional": True},
        {"name": "origin", "type": "string"},
        {"name": "dest", "type": "string"},
        {"name": "scheduled", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "delay", "type": "int", "optional": True, "doc": "Minutes; null: cancelled."},
        {"name": "distance", "type": "int", "doc": "Miles."},
    ],
    key="carrier",
    make=lambda path: synthesize_flights() if path is None else read_flights(path),
)


def keyed_flights(keys: int) -> Shape:
    """Return flights of so many carriers, in turn."""

    def make(path: Path | None) -> Iterator[Payload]:
        for number, flight in enumerate(FLIGHTS.make(path)):
            yield flight | {"carrier": f"C{number % keys:02}"}

    return Shape(fields=FLIGHTS.fields, key="carrier", make=make)


def bodies(size: int) -> Shape:
    """Return a shape with a key and one body of so many letters."""
    return Shape(
        fields=[{"name": "key", "type": "string"}, {"name": "body", "type": "string"}],
        key="key",
        make=lambda path: _bodies(size),
        size=size,
    )


def _bodies(size: int) -> Iterator[Payload]:
    # Random letters, so that lz4 finds nothing to shorten and sizes are what they say.
    dice = random.Random(size)
    texts = [_letters(dice, size) for _ in range(_BODIES)]
    keys = [f"key-{number:04}" for number in range(_KEYS)]
    for key, body in zip(cycle(keys), cycle(texts), strict=False):
        yield {"key": key, "body": body}


def _letters(dice: random.Random, size: int) -> str:
    return "".join(dice.choices(string.ascii_letters, k=size))


def _readings(path: Path | None) -> Iterator[Payload]:
    dice = random.Random(3)
    for number in count():
        yield {
            "sensor": f"building-7-sensor-{number % 40:02}",
            "number": number,
            "celsius": round(dice.uniform(-20, 40), 1),
        }


READINGS = Shape(
    fields=[
        {"name": "sensor", "type": "string"},
        {"name": "number", "type": "long"},
        {"name": "celsius", "type": "double"},
    ],
    key="sensor",
    make=_readings,
)
"""Three fields; with the two system fields about 50 bytes of Avro."""

_WIDE: dict[str, Callable[[random.Random], Any]] = {
    "string": lambda dice: _letters(dice, dice.randrange(4, 16)),
    "int": lambda dice: dice.randrange(-1_000, 100_000),
    "long": lambda dice: dice.randrange(2**40),
    "double": lambda dice: dice.uniform(0, 1000),
    "boolean": lambda dice: dice.random() < 0.5,
}
_OF_EACH_TYPE = range(10)
_OPTIONAL_FROM = 8


def _reports(path: Path | None) -> Iterator[Payload]:
    dice = random.Random(50)
    prepared = [
        {
            f"{kind}_{number}": None
            if number >= _OPTIONAL_FROM and dice.random() < 0.2
            else make(dice)
            for number in _OF_EACH_TYPE
            for kind, make in _WIDE.items()
        }
        for _ in range(_REPORTS)
    ]
    yield from map(dict, cycle(prepared))


REPORTS = Shape(
    fields=[
        {"name": f"{kind}_{number}", "type": kind}
        | ({"optional": True} if number >= _OPTIONAL_FROM else {})
        for number in _OF_EACH_TYPE
        for kind in _WIDE
    ],
    key="string_0",
    make=_reports,
)
"""Fifty fields of five types, ten of them nullable."""


def _orders(path: Path | None) -> Iterator[Payload]:
    dice = random.Random(4)
    placed = datetime(2024, 1, 1, tzinfo=UTC)
    for number in count():
        placed += timedelta(seconds=7)
        yield {
            "order": f"A-{number}",
            "placed": placed,
            "customer": {
                "name": dice.choice(("Ada Byron", "Alan Turing", "Grace Hopper")),
                "email": f"customer-{number % 5000}@example.com",
                "address": {
                    "street": f"{number % 300} Long Street",
                    "city": dice.choice(("London", "Manchester", "Arlington")),
                    "postcode": f"{number % 90_000 + 10_000}",
                },
            },
            "lines": [
                {
                    "article": f"ART-{dice.randrange(9000)}",
                    "quantity": dice.randrange(1, 9),
                    "cents": dice.randrange(100, 100_000),
                }
                for _ in range(1 + number % 4)
            ],
        }


def _record(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    listed = [{"name": field, "type": type_} for field, type_ in fields.items()]
    return {"type": "record", "name": name, "fields": listed}


_ADDRESS = _record("Address", dict.fromkeys(("street", "city", "postcode"), "string"))
_CUSTOMER = _record("Customer", {"name": "string", "email": "string", "address": _ADDRESS})
_LINE = _record("Line", {"article": "string", "quantity": "int", "cents": "long"})
ORDERS = Shape(
    fields=[
        {"name": "order", "type": "string"},
        {"name": "placed", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "customer", "type": _CUSTOMER},
        {"name": "lines", "type": {"type": "array", "items": _LINE}},
    ],
    key="order",
    make=_orders,
)
"""A record in a record, and an array of one to four records."""
