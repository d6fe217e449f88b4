"""Schemas and payloads for tests of filters."""

from __future__ import annotations

from typing import Any

from platform_events.definitions.schema import Schema
from platform_events.filters import check_filter, compile_filter, evaluate
from platform_events.payloads.codec import PayloadEncoder

CITY = {"type": "record", "name": "City", "fields": [{"name": "name", "type": "string"}]}
ADDRESS = {
    "type": "record",
    "name": "Address",
    "fields": [
        {"name": "street", "type": ["null", "string"]},
        {"name": "city", "type": ["null", CITY]},
    ],
}
ORDER_FIELDS = {
    "CreatedDate": "long",
    "amount": "double",
    "note": ["null", "string"],
    "paid": ["null", "boolean"],
    "status": {"type": "enum", "name": "Status", "symbols": ["OPEN", "PAID", "Shipped"]},
    "day": {"type": "int", "logicalType": "date"},
    "at": {"type": "long", "logicalType": "timestamp-millis"},
    "wall": {"type": "long", "logicalType": "local-timestamp-micros"},
    "opens": {"type": "int", "logicalType": "time-millis"},
    "total": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2},
    "count": "int",
    "ratio": "float",
    "key": {"type": "string", "logicalType": "uuid"},
    "tags": {"type": "array", "items": "string"},
    "labels": {"type": "map", "values": "long"},
    "digest": {"type": "fixed", "name": "Digest", "size": 4},
    "raw": ["null", "bytes"],
    "either": ["null", "long", "string"],
    "address": ["null", ADDRESS],
}


def schema_of(fields: dict[str, Any], name: str = "Order_Placed__e") -> Schema:
    """Return a schema of fields in Avro's notation, in this order."""
    items = [{"name": key, "type": item} for key, item in fields.items()]
    return Schema.from_normal({"type": "record", "name": name, "fields": items})


ORDER = schema_of(ORDER_FIELDS)


def judge(fields: dict[str, Any], payload: dict[str, Any], text: str) -> bool | None:
    """Return what a filter is for a payload; evaluation and compiled filter have to agree."""
    schema = schema_of(fields)
    verdict = evaluate(check_filter(text, schema), payload)
    body = PayloadEncoder(schema.parsed).encode(payload)
    assert compile_filter(text, schema)(body) is (verdict is True)
    assert compile_filter(f"NOT ({text})", schema)(body) is (verdict is False)
    return verdict


def fits(pattern: str, text: str) -> bool:
    """Match a pattern of LIKE by following all ways through the text."""
    ways = {0}
    for each in pattern:
        if each == "%":
            ways = set(range(min(ways), len(text) + 1)) if ways else ways
        else:
            ways = {at + 1 for at in ways if at < len(text) and each in ("_", text[at])}
    return len(text) in ways
