"""What a payload must read back as.

Written from Avro's specification and not from the code under test.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_EPOCH = EPOCH.replace(tzinfo=None)
FLOAT = struct.Struct("<f")
JSON_KIND = {
    **{kind: kind for kind in ("null", "boolean", "array")},
    **dict.fromkeys(("int", "long", "float", "double"), "number"),
    **dict.fromkeys(("map", "record"), "object"),
}
TIMES = ("time-millis", "time-micros")
MOMENTS = (
    *("timestamp-millis", "timestamp-micros"),
    *("local-timestamp-millis", "local-timestamp-micros"),
)


def record(*types: Any, **extra: Any) -> dict[str, Any]:
    """A schema whose fields are named a, b, c, ..."""
    fields = [
        {"name": name, "type": item, **extra} for name, item in zip("abcdefgh", types, strict=False)
    ]
    return {"type": "record", "name": "Sample", "fields": fields}


def logical(base: str, name: str, /, **extra: Any) -> dict[str, Any]:
    return {"type": base, "logicalType": name, **extra}


def kind_of(schema: Any) -> str:
    """Return the logical type, else the type."""
    if isinstance(schema, str):
        return schema
    if isinstance(schema, list):
        return "union"
    return str(schema.get("logicalType", schema["type"]))


def branch_of(union: list[Any], value: Any) -> Any:
    """Return the branch that a value is meant for."""
    match value:
        case None | bool():
            kind = "null" if value is None else "boolean"
        case int() | float():
            kind = "number"
        case list() | tuple():
            kind = "array"
        case dict() | MappingProxyType():
            kind = "object"
        case _:
            kind = "string"
    by_kind = {JSON_KIND.get(kind_of(branch), "string"): branch for branch in union}
    # A decimal takes an int, and dates and times are numbers in defaults.
    return by_kind.get(kind, by_kind.get("string"))


def _cut(schema: Any, value: Any) -> Any:
    if "millis" in schema["logicalType"]:
        value = value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value.replace(fold=0)


STORED: dict[str, Callable[[Any, Any], Any]] = {
    "float": lambda _, value: FLOAT.unpack(FLOAT.pack(value))[0],
    "double": lambda _, value: float(value),
    "bytes": lambda _, value: bytes(value),
    "fixed": lambda _, value: bytes(value),
    "decimal": lambda _, value: Decimal(value),
    **dict.fromkeys((*TIMES, *MOMENTS), _cut),
    **dict.fromkeys(MOMENTS[:2], lambda schema, value: _cut(schema, value.astimezone(UTC))),
}
"""What a value of a kind reads back as; others as they are."""


def _epoch(schema: Any) -> datetime:
    return LOCAL_EPOCH if schema["logicalType"].startswith("local") else EPOCH


def _unit(schema: Any) -> timedelta:
    return timedelta(microseconds=1000 if "millis" in schema["logicalType"] else 1)


def _decimal_text(schema: Any, value: Any) -> str:
    number = int(Decimal(value).scaleb(schema["scale"]))
    return number.to_bytes(schema.get("size", 9), "big", signed=True).decode("latin-1")


def _time_number(schema: Any, value: time) -> int:
    return (datetime.combine(LOCAL_EPOCH.date(), value) - LOCAL_EPOCH) // _unit(schema)


DEFAULT: dict[str, Callable[[Any, Any], Any]] = {
    "float": lambda _, value: value if math.isfinite(value) else 0.5,
    "double": lambda _, value: value if math.isfinite(value) else 0.5,
    "bytes": lambda _, value: bytes(value).decode("latin-1"),
    "fixed": lambda _, value: bytes(value).decode("latin-1"),
    "decimal": _decimal_text,
    "uuid": lambda _, value: str(value),
    "date": lambda _, value: (value - EPOCH.date()).days,
    **dict.fromkeys(TIMES, _time_number),
    **dict.fromkeys(MOMENTS, lambda schema, value: (value - _epoch(schema)) // _unit(schema)),
}
"""How a value of a kind is written as a field's default."""


def _decimal_value(schema: Any, default: str) -> Decimal:
    number = int.from_bytes(default.encode("latin-1"), "big", signed=True)
    return Decimal(number).scaleb(-schema["scale"])


MEANT: dict[str, Callable[[Any, Any], Any]] = {
    "float": STORED["float"],
    "double": STORED["double"],
    "bytes": lambda _, default: default.encode("latin-1"),
    "fixed": lambda _, default: default.encode("latin-1"),
    "decimal": _decimal_value,
    "uuid": lambda _, default: UUID(default),
    "date": lambda _, default: EPOCH.date() + timedelta(default),
    **dict.fromkeys(TIMES, lambda schema, default: (LOCAL_EPOCH + default * _unit(schema)).time()),
    **dict.fromkeys(MOMENTS, lambda schema, default: _epoch(schema) + default * _unit(schema)),
}
"""What a field's default of a kind reads back as."""


def _rebuild(table: dict[str, Callable[[Any, Any], Any]], schema: Any, value: Any) -> Any:
    """Convert the leaves of a value; fields that are left out stay so."""
    match kind_of(schema):
        case "array":
            return [_rebuild(table, schema["items"], item) for item in value]
        case "map":
            return {key: _rebuild(table, schema["values"], item) for key, item in value.items()}
        case "union":
            return _rebuild(table, branch_of(schema, value), value)
        case "record":
            types = {field["name"]: field["type"] for field in schema["fields"]}
            return {name: _rebuild(table, types[name], item) for name, item in value.items()}
    convert = table.get(kind_of(schema))
    return convert(schema, value) if convert else value


def _complete(schema: Any, value: Any) -> Any:
    """Add what fields that are left out read back as."""
    match kind_of(schema):
        case "array":
            return [_complete(schema["items"], item) for item in value]
        case "map":
            return {key: _complete(schema["values"], item) for key, item in value.items()}
        case "union":
            return _complete(branch_of(schema, value), value)
        case "record":
            return {
                field["name"]: _complete(field["type"], value[field["name"]])
                if field["name"] in value
                else default_value(field["type"], field["default"])
                for field in schema["fields"]
            }
    return value


def stored(schema: Any, value: Any) -> Any:
    """Return what a value that fits reads back as."""
    return _complete(schema, _rebuild(STORED, schema, value))


def as_default(schema: Any, value: Any) -> Any:
    """Return a value in the notation of a field's default."""
    return _rebuild(DEFAULT, schema, value)


def default_value(schema: Any, default: Any) -> Any:
    """Return what a field that was left out reads back as."""
    return _complete(schema, _rebuild(MEANT, schema, default))


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal, of the same types all the way down, NaN equal to itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left == right or (left != left and right != right)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, datetime):
        return left == right and left.tzinfo == right.tzinfo
    return bool(left == right)
