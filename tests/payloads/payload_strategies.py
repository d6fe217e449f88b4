"""Random Avro schemas and payloads."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from tests.payloads.expectations import JSON_KIND, MOMENTS, TIMES, as_default, kind_of
from tests.payloads.samples import varint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOGICAL = {
    **dict.fromkeys(("date", "time-millis"), "int"),
    **dict.fromkeys(("time-micros", *MOMENTS), "long"),
    "uuid": "string",
}
PRIMITIVES = ("boolean", "int", "long", "float", "double", "bytes", "string")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ZONES = st.integers(-86399, 86399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
FIELD_NAMES = ("field_0", "field_1", "None", "_", "Z9")
# Strategies are made once: making one costs more than drawing from it.
KINDS = st.sampled_from([*PRIMITIVES, *LOGICAL, "enum", "fixed", "decimal"])
SYMBOLS = st.lists(
    st.sampled_from([f"{first}{second}" for first in "ABCDEFG" for second in "_XYZ01234567"]),
    min_size=1,
    max_size=70,
    unique=True,
)
SHAPES = st.sampled_from(["leaf", "array", "map", "record", "union", "union"])
SHAPES_IN_UNION = st.sampled_from(["leaf", "array", "map", "record"])
MAPPINGS = st.sampled_from([dict, OrderedDict, MappingProxyType])
BOOLEANS = st.booleans()
FEW = st.integers(0, 2)


@dataclass
class Names:
    """Names for the types of one schema, and whether it is one as people write it."""

    is_written: bool = False
    count: int = 0

    def new(self) -> str:
        self.count += 1
        return f"Type{self.count}"


@st.composite
def leaf_schemas(draw: st.DrawFn, names: Names) -> Any:
    kind = draw(KINDS)
    match kind:
        case "enum":
            return {"type": "enum", "name": names.new(), "symbols": draw(SYMBOLS)}
        case "fixed":
            return {"type": "fixed", "name": names.new(), "size": draw(st.integers(1, 9))}
        case "decimal":
            precision = draw(st.integers(1, 18))
            scale = draw(st.integers(0, precision))
            decimal = {"logicalType": "decimal", "precision": precision, "scale": scale}
            if draw(BOOLEANS):
                return {"type": "fixed", "name": names.new(), "size": 8, **decimal}
            return {"type": "bytes", **decimal}
    return {"type": LOGICAL[kind], "logicalType": kind} if kind in LOGICAL else kind


@st.composite
def schemas(draw: st.DrawFn, names: Names, depth: int, *, in_union: bool = False) -> Any:
    shapes = SHAPES_IN_UNION if in_union else SHAPES
    match draw(shapes) if depth else "leaf":
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
def union_schemas(draw: st.DrawFn, names: Names, depth: int) -> Any:
    branches: dict[str, Any] = {"null": "null"} if draw(FEW) else {}
    for _ in range(1 + draw(FEW)):
        branch = draw(schemas(names, depth, in_union=True))
        if names.is_written and base_of(branch) in map(base_of, branches.values()):
            continue
        branches.setdefault(JSON_KIND.get(kind_of(branch), "string"), branch)
    # Numbers and bytes come before what fastavro would take them for.
    return sorted(draw(st.permutations(list(branches.values()))), key=_late)


def base_of(avro: Any) -> str:
    return str(avro["type"] if isinstance(avro, dict) else avro)


def _late(branch: Any) -> bool:
    return kind_of(branch) == "array" or LOGICAL.get(kind_of(branch)) in {"int", "long"}


@st.composite
def record_schemas(
    draw: st.DrawFn, names: Names | None = None, depth: int = 2, min_size: int = 0
) -> dict[str, Any]:
    names = names or Names()
    name = names.new()
    fields = []
    for field_name in FIELD_NAMES[: draw(st.integers(min_size, 1 + 2 * depth))]:
        schema = draw(schemas(names, depth))
        field = {"name": field_name, "type": schema}
        if names.is_written and draw(BOOLEANS):
            field["doc"] = draw(TEXT)
        fitting = first_branches(schema) if names.is_written else schema
        if draw(FEW) == 0 and not is_ambiguous(fitting):
            field["default"] = as_default(fitting, draw(values(fitting)))
        elif names.is_written and "null" not in schema and draw(BOOLEANS):
            field["optional"] = True
        fields.append(field)
    return {"type": "record", "name": name, "fields": fields}


def first_branches(schema: Any) -> Any:
    """Return a schema with each union's first branch in its place, which a default is of."""
    match kind_of(schema):
        case "array":
            return {**schema, "items": first_branches(schema["items"])}
        case "map":
            return {**schema, "values": first_branches(schema["values"])}
        case "record":
            fields = [{**each, "type": first_branches(each["type"])} for each in schema["fields"]]
            return {**schema, "fields": fields}
        case "union":
            return first_branches(schema[0])
    return schema


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


def _decimals(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    precision, scale = schema["precision"], schema["scale"]
    limit = 10**precision - 1
    fitting = st.integers(-limit, limit).map(lambda number: Decimal(number).scaleb(-scale))
    whole = 10 ** (precision - scale) - 1
    return fitting | fitting.map(lambda value: value.normalize()) | st.integers(-whole, whole)


def _bytes(**size: int) -> st.SearchStrategy[Any]:
    data = st.binary(**size)
    return data | data.map(bytearray)


# A day from the ends: in UTC they must still be in the years 1 to 9999.
ENDS = (datetime.fromisoformat("0001-01-02"), datetime.fromisoformat("9999-12-30"))
ZONED = st.datetimes(*ENDS, timezones=st.just(UTC) | ZONES)
ONCE: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": BOOLEANS,
    "int": st.integers(-(2**31), 2**31 - 1) | st.integers(-9000, 9000),
    "long": st.integers(-(2**63), 2**63 - 1) | st.integers(10**11, 10**17),
    "float": st.floats(-3.4e38, 3.4e38)
    | st.sampled_from([float("nan"), float("inf")])
    | st.floats(width=32)
    | st.integers(-(2**24), 2**24),
    "double": st.floats() | st.integers(-(2**53), 2**53),
    "string": st.one_of(TEXT, TEXT, TEXT, st.just("long text " * 20)),
    "bytes": _bytes(max_size=8),
    "uuid": st.uuids(),
    "date": st.dates(),
    **dict.fromkeys(TIMES, st.times()),
    **dict.fromkeys(MOMENTS[:2], ZONED),
    **dict.fromkeys(MOMENTS[2:], st.datetimes()),
}
LEAVES: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "fixed": lambda schema: _bytes(min_size=schema["size"], max_size=schema["size"]),
    "enum": lambda schema: st.sampled_from(schema["symbols"]),
    "decimal": _decimals,
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
    kind = kind_of(schema)
    return ONCE[kind] if kind in ONCE else LEAVES[kind](schema)


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
        needed = "default" not in field and "optional" not in field
        if needed or ("default" in field and draw(BOOLEANS)):
            payload[field["name"]] = draw(values(field["type"]))
    return draw(MAPPINGS)(payload)


@st.composite
def schemas_and_payloads(draw: st.DrawFn, min_size: int = 0) -> tuple[dict[str, Any], Any]:
    schema = draw(record_schemas(min_size=min_size))
    return schema, draw(payloads(schema))


@st.composite
def numbers_in_blocks(draw: st.DrawFn) -> tuple[str, bytes, list[int]]:
    """The items' type, an array of numbers in blocks as any writer may make them, its numbers."""
    kind, bits = draw(st.sampled_from([("int", 31), ("long", 63)]))
    magnitude = draw(st.sampled_from([3, 6, 7, 13, 14, 20, 21, 28, 31, 42, bits]))
    limit = 1 << min(magnitude, bits)
    data, numbers = b"", []
    for size in draw(st.lists(st.sampled_from([1, 4, 5, 24, 25, 40]), max_size=2)):
        # As many draws as numbers would be slow.
        few = draw(st.lists(st.integers(-limit, limit - 1), min_size=1, max_size=3))
        block = (few * size)[:size]
        items = b"".join(map(varint, block))
        data += draw(st.sampled_from([varint(size), varint(-size) + varint(len(items))])) + items
        numbers += block
    return kind, data + b"\0", numbers
