"""`python -m benchmarks.payloads`: payloads of every Avro type, ours beside plain fastavro.

No broker takes part. Both read and write the same bytes by the same schema, with fastavro's own
logical types; fastavro gets a stream for each payload and judges nothing. Each payload comes once a
turn, and so many of them that what either keeps of values it has seen helps little.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
import fastavro
from rich.console import Console

from benchmarks.events import FLIGHT
from benchmarks.rows import Rows
from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.shapes import Payload

_PAYLOADS, _QUICK_PAYLOADS = 5_000, 1_000
"""Payloads of each kind, made at random; a turn takes each of them once."""
_RACE_SECONDS, _QUICK_RACE_SECONDS = 0.75, 0.06
"""What all turns of both contenders at one payload take, about."""
_MIN_TURNS, _MAX_TURNS = 3, 101
_SYSTEM = {"CreatedDate": "long", "CreatedById": "string"}
_LINE = {"sku": "string", "count": "int", "price": "double"}
_ADDRESS = {"street": "string", "zip": "string", "city": "string"}


@dataclass(frozen=True, slots=True)
class PayloadRow:
    """What one kind of payload costs."""

    label: str
    """What tables call it."""
    encode_ns: float
    """Of one payload, as median over all turns: ours."""
    encode_ratio: float
    """How many times as long fastavro takes, as median over all turns."""
    decode_ns: float
    """As `encode_ns`."""
    decode_ratio: float
    """As `encode_ratio`."""

    def to_json(self) -> dict[str, Any]:
        """Return the row as the results have it."""
        return asdict(self)


def measure_payloads(*, quick: bool = False) -> list[PayloadRow]:
    """Return a row for each Avro type, and for events of several kinds; takes 60 s, quick 8 s."""
    count = _QUICK_PAYLOADS if quick else _PAYLOADS
    limit = _QUICK_RACE_SECONDS if quick else _RACE_SECONDS
    return [_measure(label, schema, found, limit) for label, schema, found in _cases(count)]


def _measure(label: str, schema: Any, payloads: Sequence[Payload], limit: float) -> PayloadRow:
    encode, decode = PayloadEncoder(schema).encode, PayloadDecoder(schema).decode
    bodies = [encode(payload) for payload in payloads]
    parsed: Any = fastavro.parse_schema(schema)
    write, read = fastavro.schemaless_writer, fastavro.schemaless_reader

    def library_encode(payload: Payload) -> bytes:
        stream = BytesIO()
        write(stream, parsed, payload)
        return stream.getvalue()

    def library_decode(body: bytes) -> Any:
        return read(BytesIO(body), parsed, None)

    if [library_decode(body) for body in bodies] != [decode(body) for body in bodies]:
        raise RuntimeError(f"{label}: the libraries do not agree")
    # The values that wait for their turn would be looked through at each collection.
    gc.collect()
    gc.freeze()
    return PayloadRow(
        label,
        *_race(encode, library_encode, payloads, limit),
        *_race(decode, library_decode, bodies, limit),
    )


def _race(
    ours: Callable[[Any], Any], theirs: Callable[[Any], Any], values: Sequence[Any], limit: float
) -> tuple[float, float]:
    """Return our nanoseconds for one value, and the ratio of both; they take turns."""
    first = _turn(ours, values) + _turn(theirs, values)
    turns = min(max(int(limit / first), _MIN_TURNS), _MAX_TURNS)
    pairs = [(_turn(ours, values), _turn(theirs, values)) for _ in range(turns)]
    seconds = statistics.median(own for own, _ in pairs)
    ratio = statistics.median(other / own for own, other in pairs)
    return round(seconds / len(values) * 1e9, 1), round(ratio, 3)


def _turn(function: Callable[[Any], Any], values: Sequence[Any]) -> float:
    """Return the seconds of this thread's processor, which other processes do not add to."""
    began = time.thread_time()
    for value in values:
        function(value)
    return time.thread_time() - began


def _record(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    entries = [{"name": field, "type": avro} for field, avro in fields.items()]
    return {"type": "record", "name": name, "fields": entries}


def _logical(base: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": name, **more}


def _cases(count: int) -> Iterator[tuple[str, dict[str, Any], list[Payload]]]:
    dice = random.Random(2013)
    types = {**_plain_types(dice), **_composite_types(dice), **_logical_types(dice)}
    for label, (avro, make) in types.items():
        yield label, _record("One", {"a": avro}), [{"a": make()} for _ in range(count)]
    yield from _events(dice, count)


def _plain_types(dice: random.Random) -> dict[str, tuple[Any, Callable[[], Any]]]:
    symbols = ["NEW", "PAID", "SHIPPED", "CLOSED"]
    status = {"type": "enum", "name": "Status", "symbols": symbols}
    return {
        "null or string": (["null", "string"], lambda: dice.choice([None, _text(dice)])),
        "boolean": ("boolean", lambda: dice.random() < 0.5),
        "int": ("int", lambda: dice.randrange(-20, 2600)),
        "long": ("long", lambda: dice.randrange(1_600_000_000_000, 1_800_000_000_000)),
        "float": ("float", lambda: dice.randrange(100_000) / 8),
        "double": ("double", dice.random),
        "string": ("string", lambda: _text(dice)),
        "bytes": ("bytes", lambda: dice.randbytes(12)),
        "fixed": ({"type": "fixed", "name": "Fixed", "size": 16}, lambda: dice.randbytes(16)),
        "enum": (status, lambda: dice.choice(symbols)),
        "union": (
            ["null", "long", "string"],
            lambda: dice.choice([None, dice.randrange(-20, 2600), _text(dice)]),
        ),
    }


def _composite_types(dice: random.Random) -> dict[str, tuple[Any, Callable[[], Any]]]:
    def array(items: Any, size: int, make: Callable[[], Any]) -> tuple[Any, Callable[[], Any]]:
        return {"type": "array", "items": items}, lambda: [make() for _ in range(size)]

    def large() -> int:
        return dice.randrange(1_600_000_000_000, 1_800_000_000_000)

    return {
        "10 ints": array("int", 10, lambda: dice.randrange(2600)),
        "100 ints": array("int", 100, lambda: dice.randrange(2600)),
        "10 large longs": array("long", 10, large),
        "100 large longs": array("long", 100, large),
        "10 doubles": array("double", 10, dice.random),
        "10 strings": array("string", 10, lambda: _text(dice)),
        "100 strings": array("string", 100, lambda: _text(dice)),
        "10 records": array(_record("Line", _LINE), 10, lambda: _line(dice)),
        "map of 10 longs": (
            {"type": "map", "values": "long"},
            lambda: {f"key{index}": dice.randrange(8000) for index in range(10)},
        ),
        "record": (_record("Address", _ADDRESS), lambda: _address(dice)),
    }


def _logical_types(dice: random.Random) -> dict[str, tuple[Any, Callable[[], Any]]]:
    def moment() -> datetime:
        return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(milliseconds=dice.randrange(10**10))

    def local() -> datetime:
        return moment().replace(tzinfo=None)

    return {
        "decimal": (
            _logical("bytes", "decimal", precision=12, scale=2),
            lambda: Decimal(dice.randrange(10**7)).scaleb(-2),
        ),
        "uuid": (_logical("string", "uuid"), lambda: UUID(int=dice.getrandbits(128))),
        "date": (_logical("int", "date"), lambda: moment().date()),
        "time-millis": (_logical("int", "time-millis"), lambda: moment().time()),
        "time-micros": (_logical("long", "time-micros"), lambda: moment().time()),
        "timestamp-millis": (_logical("long", "timestamp-millis"), moment),
        "timestamp-micros": (_logical("long", "timestamp-micros"), moment),
        "local-timestamp-millis": (_logical("long", "local-timestamp-millis"), local),
        "local-timestamp-micros": (_logical("long", "local-timestamp-micros"), local),
    }


def _events(dice: random.Random, count: int) -> Iterator[tuple[str, dict[str, Any], list[Payload]]]:
    """Return whole events, with the fields that every event has."""
    optional = {field["name"]: field.get("optional") for field in FLIGHT.definition()["fields"]}
    flight = {
        field["name"]: ["null", field["type"]] if optional[field["name"]] else field["type"]
        for field in FLIGHT.definition()["fields"]
    }
    small = {"order_id": "string", "total": "long", "paid": "boolean"}
    columns: list[tuple[Any, Callable[[], Any]]] = [
        ("string", lambda: _text(dice)),
        ("int", lambda: dice.randrange(-20, 2600)),
        (["null", "string"], lambda: None),
        ("double", dice.random),
        (["null", "long"], lambda: dice.randrange(1_048_576, 100_000_000)),
    ]
    wide = {f"field_{index}": columns[index % 5][0] for index in range(50)}
    customer = {"name": "string", "address": _record("Address", _ADDRESS)}
    lines = {"type": "array", "items": _record("Line", _LINE)}
    nested = {"customer": _record("Customer", customer), "lines": lines}
    found: dict[str, tuple[dict[str, Any], Callable[[], Payload]]] = {
        "event of three fields": (
            small,
            lambda: {"order_id": _text(dice), "total": dice.randrange(9000), "paid": True},
        ),
        "event of fifty fields": (
            wide,
            lambda: {f"field_{index}": columns[index % 5][1]() for index in range(50)},
        ),
        "event of nested records": (
            nested,
            lambda: {
                "customer": {"name": _text(dice), "address": _address(dice)},
                "lines": [_line(dice) for _ in range(3)],
            },
        ),
    }
    flights = iter(FLIGHT.payloads(count, None))
    found = {"flight": (flight, lambda: next(flights)), **found}
    for label, (fields, make) in found.items():
        payloads = [
            {"CreatedDate": 1_706_704_200_000 + index, "CreatedById": "benchmarks", **make()}
            for index in range(count)
        ]
        yield label, _record("Event", {**_SYSTEM, **fields}), payloads


def _text(dice: random.Random) -> str:
    return f"{dice.getrandbits(76):019x}"[-dice.randrange(3, 20) :]


def _address(dice: random.Random) -> Payload:
    return {field: _text(dice) for field in _ADDRESS}


def _line(dice: random.Random) -> Payload:
    sku = f"A-{dice.randrange(100_000)}"
    return {"sku": sku, "count": dice.randrange(9), "price": dice.random()}


def payload_rows(rows: Sequence[dict[str, Any]]) -> Rows:
    """Return the table of what was measured, as the results have it."""
    return Rows(
        "Payloads: nanoseconds, and how many times as long fastavro takes",
        ("payload", "encode", "fastavro", "decode", "fastavro"),
        [
            (
                row["label"],
                f"{row['encode_ns']:,.0f}",
                f"{row['encode_ratio']:.2f}",
                f"{row['decode_ns']:,.0f}",
                f"{row['decode_ratio']:.2f}",
            )
            for row in rows
        ],
    )


@click.command()
@click.option("--quick", is_flag=True, help="A few seconds: fewer turns.")
def main(quick: bool) -> None:
    """Measure what payloads of every Avro type cost, beside fastavro."""
    rows = [row.to_json() for row in measure_payloads(quick=quick)]
    Console().print(payload_rows(rows).to_rich())


if __name__ == "__main__":
    main()
