"""Random Avro schemas and payloads, and what a payload must read back as.

Written from Avro's specification and not from the code under test.
"""

from __future__ import annotations

import math
import struct
from collections import OrderedDict
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = 50
"""Schemas and payloads that one test tries."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_EPOCH = EPOCH.replace(tzinfo=None)
FLOAT = struct.Struct("<f")
LOGICAL = {
    "date": "int",
    "time-millis": "int",
    "time-micros": "long",
    "timestamp-millis": "long",
    "timestamp-micros": "long",
    "local-timestamp-millis": "long",
    "local-timestamp-micros": "long",
    "uuid": "string",
}
PRIMITIVES = ("boolean", "int", "long", "float", "double", "bytes", "string")
JSON_KIND = {
    "null": "null",
    "boolean": "boolean",
    "int": "number",
    "long": "number",
    "float": "number",
    "double": "number",
    "array": "array",
    "map": "object",
    "record": "object",
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ZONES = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))


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


@st.composite
def leaf_schemas(draw: st.DrawFn, names: list[str]) -> Any:
    kind = draw(st.sampled_from([*PRIMITIVES, *LOGICAL, "enum", "fixed", "decimal"]))
    if kind in LOGICAL:
        return {"type": LOGICAL[kind], "logicalType": kind}
    if kind == "enum":
        symbols = draw(
            st.lists(
                st.from_regex(r"[A-Z]{1,4}", fullmatch=True), min_size=1, max_size=70, unique=True
            )
        )
        return {"type": "enum", "name": new_name(names), "symbols": symbols}
    if kind == "fixed":
        return {"type": "fixed", "name": new_name(names), "size": draw(st.integers(1, 9))}
    if kind == "decimal":
        precision = draw(st.integers(1, 18))
        scale = draw(st.integers(0, precision))
        decimal = {"logicalType": "decimal", "precision": precision, "scale": scale}
        if draw(st.booleans()):
            return {"type": "fixed", "name": new_name(names), "size": 8, **decimal}
        return {"type": "bytes", **decimal}
    return kind


def new_name(names: list[str]) -> str:
    names.append(f"Type{len(names)}")
    return names[-1]


@st.composite
def schemas(draw: st.DrawFn, names: list[str], depth: int, *, in_union: bool = False) -> Any:
    shapes = ["leaf"]
    if depth:
        shapes += ["array", "map", "record"]
        if not in_union:
            shapes += ["union", "union"]
    match draw(st.sampled_from(shapes)):
        case "array":
            return {"type": "array", "items": draw(schemas(names, depth - 1))}
        case "map":
            return {"type": "map", "values": draw(schemas(names, depth - 1))}
        case "record":
            return draw(record_schemas(names, depth - 1, min_size=1))
        case "union":
            return draw(union_schemas(names, depth - 1))
    return draw(leaf_schemas(names))


@st.composite
def union_schemas(draw: st.DrawFn, names: list[str], depth: int) -> Any:
    branches: list[Any] = ["null"]
    kinds = {"null"}
    for _ in range(draw(st.integers(1, 3))):
        branch = draw(schemas(names, depth, in_union=True))
        kind = JSON_KIND.get(kind_of(branch), "string")
        if kind not in kinds:
            kinds.add(kind)
            branches.append(branch)
    # Numbers and bytes come before what fastavro would take them for.
    return sorted(draw(st.permutations(branches)), key=_late)


def _late(branch: Any) -> bool:
    return kind_of(branch) == "array" or LOGICAL.get(kind_of(branch)) in {"int", "long"}


@st.composite
def record_schemas(
    draw: st.DrawFn, names: list[str] | None = None, depth: int = 2, min_size: int = 0
) -> dict[str, Any]:
    names = [] if names is None else names
    name = new_name(names)
    fields = []
    for index in range(draw(st.integers(min_size, 5))):
        schema = draw(schemas(names, depth))
        field = {"name": f"field_{index}", "type": schema}
        if draw(st.integers(0, 2)) == 0 and not is_ambiguous(schema):
            field["default"] = as_default(schema, draw(values(schema)))
        fields.append(field)
    return {"type": "record", "name": name, "fields": fields}


def parts(schema: Any) -> Iterator[Any]:
    """Yield a schema and every schema in it."""
    yield schema
    match kind_of(schema):
        case "array":
            yield from parts(schema["items"])
        case "map":
            yield from parts(schema["values"])
        case "record":
            for field in schema["fields"]:
                yield from parts(field["type"])
        case "union":
            for branch in schema:
                yield from parts(branch)


def is_ambiguous(schema: Any) -> bool:
    """Whether a bare number may be meant for two branches of a union."""
    unions = [part for part in parts(schema) if isinstance(part, list)]
    kinds = [{JSON_KIND.get(kind_of(branch), "string") for branch in union} for union in unions]
    return any({"number", "string"} <= each for each in kinds)


def _datetimes(schema: dict[str, Any]) -> st.SearchStrategy[datetime]:
    if schema["logicalType"].startswith("local"):
        return st.datetimes()
    # A day from the ends: in UTC they must still be in the years 1 to 9999.
    first, last = (datetime.fromisoformat(day) for day in ("0001-01-02", "9999-12-30"))
    return st.datetimes(first, last, timezones=st.just(UTC) | ZONES)


def _decimals(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    precision, scale = schema["precision"], schema["scale"]
    limit = 10**precision - 1
    fitting = st.integers(-limit, limit).map(lambda number: Decimal(number).scaleb(-scale))
    whole = 10 ** (precision - scale) - 1
    return fitting | fitting.map(lambda value: value.normalize()) | st.integers(-whole, whole)


def _floats(width: int) -> st.SearchStrategy[Any]:
    exact = 2**24 if width == 32 else 2**53
    wide = st.floats(width=64)
    if width == 32:
        wide = st.floats(-3.4e38, 3.4e38) | st.sampled_from([float("nan"), float("inf")])
    return wide | st.floats(width=width) | st.integers(-exact, exact)


def _bytes(size: int | None = None) -> st.SearchStrategy[Any]:
    data = st.binary(min_size=size or 0, max_size=8 if size is None else size)
    return data | data.map(bytearray)


LEAVES: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "null": lambda _: st.none(),
    "boolean": lambda _: st.booleans(),
    "int": lambda _: st.integers(-(2**31), 2**31 - 1) | st.integers(-9000, 9000),
    "long": lambda _: st.integers(-(2**63), 2**63 - 1) | st.integers(10**11, 10**17),
    "float": lambda _: _floats(32),
    "double": lambda _: _floats(64),
    "string": lambda _: TEXT | st.just("long text " * 1000),
    "bytes": lambda _: _bytes(),
    "fixed": lambda schema: _bytes(schema["size"]),
    "enum": lambda schema: st.sampled_from(schema["symbols"]),
    "decimal": _decimals,
    "uuid": lambda _: st.uuids(),
    "date": lambda _: st.dates(),
    "time-millis": lambda _: st.times(),
    "time-micros": lambda _: st.times(),
    **dict.fromkeys([kind for kind in LOGICAL if "timestamp" in kind], _datetimes),
}


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Payload values that fit a schema, in every form that Python's types allow."""
    match kind_of(schema):
        case "array":
            lists = st.lists(values(schema["items"]), max_size=3)
            return lists | lists.map(tuple)
        case "map":
            maps = st.dictionaries(TEXT, values(schema["values"]), max_size=3)
            return maps | maps.map(MappingProxyType)
        case "union":
            return st.one_of([_branch_values(schema, branch) for branch in schema])
        case "record":
            return payloads(schema)
    return LEAVES[kind_of(schema)](schema)


def _branch_values(union: list[Any], branch: Any) -> st.SearchStrategy[Any]:
    """Values that are meant for this branch: a bare number is a number where there is one."""
    found = values(branch)
    has_number = any(JSON_KIND.get(kind_of(other)) == "number" for other in union)
    if kind_of(branch) == "decimal" and has_number:
        return found.filter(lambda value: not isinstance(value, int))
    return found


@st.composite
def payloads(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    payload = {}
    for field in schema["fields"]:
        if "default" not in field or draw(st.booleans()):
            payload[field["name"]] = draw(values(field["type"]))
    return draw(st.sampled_from([dict, OrderedDict, MappingProxyType]))(payload)


@st.composite
def schemas_and_payloads(draw: st.DrawFn) -> tuple[dict[str, Any], Any]:
    schema = draw(record_schemas())
    return schema, draw(payloads(schema))


def branch_of(union: list[Any], value: Any) -> Any:
    """Return the branch that a value is meant for."""
    kind = "string"
    if value is None:
        kind = "null"
    elif isinstance(value, bool):
        kind = "boolean"
    elif isinstance(value, (int, float)):
        kind = "number"
    elif isinstance(value, (list, tuple)):
        kind = "array"
    elif isinstance(value, (dict, MappingProxyType)):
        kind = "object"
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
    "time-millis": _cut,
    "time-micros": _cut,
    "timestamp-millis": lambda schema, value: _cut(schema, value.astimezone(UTC)),
    "timestamp-micros": lambda schema, value: _cut(schema, value.astimezone(UTC)),
    "local-timestamp-millis": _cut,
    "local-timestamp-micros": _cut,
}
"""What a value of a kind reads back as; others as they are."""


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
    "time-millis": _time_number,
    "time-micros": _time_number,
    "timestamp-millis": lambda schema, value: (value - EPOCH) // _unit(schema),
    "timestamp-micros": lambda schema, value: (value - EPOCH) // _unit(schema),
    "local-timestamp-millis": lambda schema, value: (value - LOCAL_EPOCH) // _unit(schema),
    "local-timestamp-micros": lambda schema, value: (value - LOCAL_EPOCH) // _unit(schema),
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
    "time-millis": lambda schema, default: (LOCAL_EPOCH + default * _unit(schema)).time(),
    "time-micros": lambda schema, default: (LOCAL_EPOCH + default * _unit(schema)).time(),
    "timestamp-millis": lambda schema, default: EPOCH + default * _unit(schema),
    "timestamp-micros": lambda schema, default: EPOCH + default * _unit(schema),
    "local-timestamp-millis": lambda schema, default: LOCAL_EPOCH + default * _unit(schema),
    "local-timestamp-micros": lambda schema, default: LOCAL_EPOCH + default * _unit(schema),
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
