"""Random Avro schemas and payloads."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.payloads.expectations import JSON_KIND, as_default, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = 50
"""Schemas and payloads that one test tries."""
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
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ZONES = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))


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
