"""Hypothesis strategies for definition files."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

WORDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
TEXT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=20)

_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "int": st.integers(-(1 << 31), (1 << 31) - 1),
    "long": st.integers(-(1 << 63), (1 << 63) - 1),
    "float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000),
    "string": TEXT,
    "bytes": st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=5),
}
_LOGICAL = {
    "date": ("int", st.integers(-700_000, 2_900_000)),
    "time-millis": ("int", st.integers(0, 86_399_999)),
    "time-micros": ("long", st.integers(0, 86_399_999_999)),
    "timestamp-millis": ("long", st.integers(-(10**12), 10**12)),
    "timestamp-micros": ("long", st.integers(-(10**15), 10**15)),
    "local-timestamp-millis": ("long", st.integers(-(10**12), 10**12)),
    "local-timestamp-micros": ("long", st.integers(-(10**15), 10**15)),
    "uuid": ("string", st.uuids().map(str)),
}
_KINDS = {
    **dict.fromkeys(("int", "long", "float", "double"), "number"),
    **dict.fromkeys(("string", "bytes", "enum", "fixed"), "string"),
    "map": "object",
    "record": "object",
}


class _Names:
    """Gives each named type of one document a name of its own."""

    def __init__(self) -> None:
        self.count = 0

    def new(self) -> str:
        self.count += 1
        return f"Type{self.count}"


def is_logical(avro: Any) -> bool:
    return isinstance(avro, dict) and "logicalType" in avro


def json_kind(avro: Any) -> str:
    if isinstance(avro, dict):
        return "string" if is_logical(avro) else _KINDS.get(avro["type"], avro["type"])
    return _KINDS.get(avro, avro)


def base_of(avro: Any) -> str:
    return str(avro["type"] if isinstance(avro, dict) else avro)


@st.composite
def types(draw: st.DrawFn, names: _Names, depth: int = 2) -> tuple[Any, Any]:
    """A type in Avro's notation and a default that fits it."""
    kinds = [_primitives, _logical_types, _decimals, _enums, _fixeds]
    if depth:
        kinds += [_arrays, _maps, _records, _unions]
    return draw(draw(st.sampled_from(kinds))(names, depth))


@st.composite
def _primitives(draw: st.DrawFn, names: _Names, depth: int) -> tuple[Any, Any]:
    name = draw(st.sampled_from(sorted(_PRIMITIVES)))
    return name, draw(_PRIMITIVES[name])


@st.composite
def _logical_types(draw: st.DrawFn, names: _Names, depth: int) -> tuple[Any, Any]:
    name = draw(st.sampled_from(sorted(_LOGICAL)))
    base, defaults = _LOGICAL[name]
    return {"type": base, "logicalType": name}, draw(defaults)


@st.composite
def _decimals(draw: st.DrawFn, names: _Names, depth: int) -> tuple[Any, Any]:
    precision = draw(st.integers(3, 30))
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": precision}
    if draw(st.booleans()):
        decimal["scale"] = draw(st.integers(0, precision))
    return decimal, "~"


@st.composite
def _enums(draw: st.DrawFn, names: _Names, depth: int) -> tuple[Any, Any]:
    symbols = draw(st.lists(WORDS, min_size=1, max_size=4, unique=True))
    enum = {"type": "enum", "name": names.new(), "symbols": symbols}
    return enum, draw(st.sampled_from(symbols))


@st.composite
def _fixeds(draw: st.DrawFn, names: _Names, depth: int) -> tuple[Any, Any]:
    size = draw(st.integers(1, 6))
    return {"type": "fixed", "name": names.new(), "size": size}, "x" * size


@st.composite
def _arrays(draw: st.DrawFn, names: _Names, depth: int) -> tuple[Any, Any]:
    items, default = draw(types(names, depth - 1))
    return {"type": "array", "items": items}, [default]


@st.composite
def _maps(draw: st.DrawFn, names: _Names, depth: int) -> tuple[Any, Any]:
    values, default = draw(types(names, depth - 1))
    return {"type": "map", "values": values}, {"k": default}


@st.composite
def _records(draw: st.DrawFn, names: _Names, depth: int) -> tuple[Any, Any]:
    name = names.new()
    fields = draw(field_lists(names, depth - 1))
    default = {item["name"]: item.pop("fits") for item in fields}
    return {"type": "record", "name": name, "fields": fields}, default


@st.composite
def _unions(draw: st.DrawFn, names: _Names, depth: int) -> tuple[Any, Any]:
    branches: dict[str, tuple[Any, Any]] = {}
    for _ in range(draw(st.integers(1, 3))):
        branch = draw(st.just(("null", None)) | types(names, 0))
        if base_of(branch[0]) not in [base_of(avro) for avro, _ in branches.values()]:
            branches.setdefault(json_kind(branch[0]), branch)
    # The loader wants numbers before the types that are stored as numbers.
    found = sorted(branches.values(), key=lambda branch: is_logical(branch[0]))
    return [avro for avro, _ in found], found[0][1]


@st.composite
def field_lists(draw: st.DrawFn, names: _Names, depth: int = 2) -> list[dict[str, Any]]:
    """Fields of a record; each has a value that fits its type under the key `fits`."""
    fields = []
    for name in draw(st.lists(WORDS, min_size=1, max_size=4, unique=True)):
        avro, fits = draw(types(names, depth))
        field: dict[str, Any] = {"name": name, "type": avro, "fits": fits}
        if draw(st.booleans()):
            field["default"] = fits
        elif "null" not in (avro if isinstance(avro, list) else [avro]) and draw(st.booleans()):
            field["optional"] = True
            field["fits"] = None
        if draw(st.booleans()):
            field["doc"] = draw(TEXT)
        fields.append(field)
    return fields


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """A valid event document."""
    fields = draw(field_lists(_Names()))
    for field in fields:
        del field["fits"]
    event: dict[str, Any] = {"event": draw(st.sampled_from(["A__e", "Order_Placed__e"]))}
    for key in ("label", "description", "owner", "x-note"):
        if draw(st.booleans()):
            event[key] = draw(TEXT)
    if draw(st.booleans()):
        event["retention"] = draw(st.sampled_from(["1s", "90s", "15m", "72h", "30d", "1500ms"]))
    plain = [
        field["name"]
        for field in fields
        if field["type"] in ("string", "int", "long") and not field.get("optional")
    ]
    if plain and draw(st.booleans()):
        event["partition_key"] = draw(st.sampled_from(plain))
        event["partitions"] = draw(st.integers(1, 1000))
    return event | {"fields": fields}


def as_yaml(document: Any) -> str:
    """Write a document as JSON, which is YAML too."""
    return json.dumps(document, ensure_ascii=False, indent=1)


JSON_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
_WORDS = (
    "event fields avro name type items values symbols default optional aliases doc size "
    "logicalType precision scale namespace partitions partition_key retention record enum "
    "fixed array map null string int long double bytes decimal date uuid A__e B__chn 72h 1 "
    "x-y CreatedDate Status << .nan 0x1F NO order"
)
_LIKELY = st.sampled_from(_WORDS.split())
TREES = st.recursive(
    JSON_SCALARS | _LIKELY,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(_LIKELY | st.text(max_size=4), inner)
    ),
    max_leaves=25,
)
"""Any JSON-like value, often made of the words of definition files."""
