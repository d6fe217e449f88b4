"""The type of a payload as a tree, read from an Avro schema in its JSON form.

Encoder, reader, diagnosis and JSON conversion all follow this tree, so they agree on what a
schema means. Names are resolved, logical types are kinds of their own, and a logical type that
Avro does not define for its base is ignored, as the Avro specification asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from platform_events.payloads.kinds import (
    LOGICAL_TYPES,
    PRIMITIVES,
    annotates,
    has_room,
    json_kind_of,
)
from platform_events.payloads.type_names import FULL_NAME, NAME, bare_name, full_name, namespace_of

MAX_DEPTH = 64
"""Levels of types within types at most, which everything that follows a type descends."""
MAX_PRECISION = 1000
"""Digits of a decimal at most."""

_NUMBERS = frozenset({"int", "long", "float", "double"})
_STORED_AS_NUMBER = frozenset(
    name for name, logical in LOGICAL_TYPES.items() if logical.bases[0] in _NUMBERS
)
_STORED_AS_BYTES = frozenset({"bytes", "fixed", "decimal"})
_NAME = re.compile(NAME)
_FULL_NAME = re.compile(FULL_NAME)
_SMALLEST = {"null": 0, "float": 4, "double": 8}
TOO_DEEP = f"types are nested deeper than {MAX_DEPTH} levels"
_PARSED_BY_LIBRARY = "__fastavro_parsed"
"""Key of a schema as `fastavro.parse_schema` returns it."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A type without parts."""

    kind: str
    """A primitive (`long`), a logical type (`timestamp-millis`, `decimal`), `enum` or `fixed`."""
    name: str = ""
    """Full name of an enum or fixed."""
    size: int = 0
    """Bytes of a fixed, or of a decimal held in one; 0 if the length varies."""
    symbols: tuple[str, ...] = ()
    """Symbols of an enum, in order."""
    precision: int = 0
    """Digits of a decimal."""
    scale: int = 0
    """Digits of a decimal after the point."""
    indexes: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Where each symbol of an enum is among them."""

    def __post_init__(self) -> None:
        indexes = {symbol: index for index, symbol in enumerate(self.symbols)}
        object.__setattr__(self, "indexes", indexes)

    @property
    def family(self) -> str:
        """The kind without the unit that a time or a time stamp ends with."""
        return self.kind.removesuffix("-millis").removesuffix("-micros")

    @property
    def base(self) -> str:
        """The type without its logical type: a primitive, `enum` or `fixed`."""
        if self.kind == "decimal":
            return "fixed" if self.size else "bytes"
        return LOGICAL_TYPES[self.kind].bases[0] if self.kind in LOGICAL_TYPES else self.kind

    @property
    def micros(self) -> int:
        """Microseconds of that unit; 1 if there is none."""
        return 1000 if self.kind.endswith("-millis") else 1


@dataclass(frozen=True, slots=True)
class Array:
    """A list of items of one type."""

    items: AvroType
    """Type of every item; never one that takes no bytes."""


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping from text to values of one type."""

    values: AvroType
    """Type of every value."""


@dataclass(frozen=True, slots=True)
class Union:
    """A choice. No two branches are of one JSON kind, so a value names its branch."""

    branches: tuple[AvroType, ...]
    """Branches in the schema's order."""

    def branch_of(self, json_kind: str) -> AvroType | None:
        """Return the branch of that JSON kind, None if there is none."""
        return next((one for one in self.branches if kind_in_json(one) == json_kind), None)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record."""

    name: str
    """Name, unique within the record."""
    type: AvroType
    """Type of its value."""
    has_default: bool = False
    """Whether a payload may leave it out."""
    default: Any = None
    """The default as the schema's JSON has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A record. It never contains itself."""

    name: str
    """Full name."""
    fields: tuple[Field, ...]
    """Fields in the schema's order."""
    smallest: int
    """Bytes that no value falls short of."""
    height: int
    """Levels of types in it, itself included."""


AvroType = Leaf | Array | Map | Union | Record

_PRIMITIVE_LEAVES = {name: Leaf(name) for name in PRIMITIVES}


def branches_of(avro_type: AvroType) -> tuple[AvroType, ...]:
    """Return the branches of a union, or the type itself as the only one."""
    return avro_type.branches if isinstance(avro_type, Union) else (avro_type,)


def kind_in_json(avro_type: AvroType) -> str:
    """Return `null`, `boolean`, `number`, `string`, `array` or `object`."""
    match avro_type:
        case Leaf(kind=kind):
            return json_kind_of(kind)
        case Array():
            return "array"
        case Union():
            raise TypeError("a union has no kind of its own")
    return "object"


def smallest_size(avro_type: AvroType) -> int:
    """Return a number of bytes that no value of the type falls short of."""
    match avro_type:
        case Leaf(kind=kind, size=size):
            return size if size or kind == "fixed" else _SMALLEST.get(kind, 1)
        case Union(branches=branches):
            return 1 + min(smallest_size(branch) for branch in branches)
        case Record(smallest=smallest):
            return smallest
    return 1


def height_of(avro_type: AvroType) -> int:
    """Return the number of levels of types within types."""
    match avro_type:
        case Array(items=part) | Map(values=part):
            return 1 + height_of(part)
        case Union(branches=branches):
            return 1 + max(height_of(branch) for branch in branches)
        case Record(height=height):
            return height
    return 1


def records_in(avro_type: AvroType) -> Iterator[Record]:
    """Yield the outermost records of a type: itself, or those in its branches, items or values."""
    match avro_type:
        case Array(items=part) | Map(values=part):
            yield from records_in(part)
        case Union(branches=branches):
            for branch in branches:
                yield from records_in(branch)
        case Record():
            yield avro_type


def parse_record(schema: Mapping[str, Any] | Record) -> Record:
    """Read an Avro record schema, also in the form that fastavro's `parse_schema` returns.

    A record that was read before is returned as it is.

    Raises:
        ValueError: it is not an Avro record schema, or it has what payloads cannot have: a type
            that contains itself, unions whose values do not name their branch, arrays whose items
            take no bytes, or more than `MAX_DEPTH` levels.
    """
    if isinstance(schema, Record):
        return schema
    try:
        parsed = _Parser(only_full_names=_PARSED_BY_LIBRARY in schema).parse(schema, "")
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if not isinstance(parsed, Record):
        raise ValueError("the schema of a payload is a record")  # noqa: TRY004
    if parsed.height > MAX_DEPTH:
        raise ValueError(TOO_DEEP)
    return parsed


class _Parser:
    """One pass over a schema; named types are known from where they are defined on."""

    def __init__(self, *, only_full_names: bool) -> None:
        self._only_full_names = only_full_names
        """Each name is written in full, so that one without a dot is of the null namespace."""
        self._named: dict[str, AvroType | None] = {}
        """None while the type is being read."""

    def parse(self, schema: Any, namespace: str) -> AvroType:
        if isinstance(schema, str):
            return self._by_name(schema, namespace)
        if isinstance(schema, list):
            return self._union(schema, namespace)
        if not isinstance(schema, Mapping) or "type" not in schema:
            raise ValueError(f"{schema!r:.80} is not an Avro type")
        if not isinstance(schema["type"], str):
            return self.parse(schema["type"], namespace)
        return self._object(schema["type"], schema, namespace)

    def _object(self, kind: str, schema: Mapping[str, Any], namespace: str) -> AvroType:
        match kind:
            case "record":
                return self._record(schema, namespace)
            case "enum":
                return self._enum(schema, namespace)
            case "fixed":
                return self._fixed(schema, namespace)
            case "array":
                return self._array(schema, namespace)
            case "map":
                return Map(self.parse(_part(schema, "values"), namespace))
        return _with_logical_type(self._by_name(kind, namespace), schema)

    def _by_name(self, name: str, namespace: str) -> AvroType:
        if name in PRIMITIVES:
            return _PRIMITIVE_LEAVES[name]
        full = full_name(name, namespace)
        if full not in self._named:
            raise ValueError(f"unknown type {full!r:.80}")
        known = self._named[full]
        if known is None:
            raise ValueError(f"recursive types are not supported: {full} contains itself")
        return known

    def _define(self, schema: Mapping[str, Any], namespace: str) -> str:
        name, own = _part(schema, "name"), schema.get("namespace")
        if not isinstance(name, str) or not isinstance(own, str | None):
            raise ValueError(f"{name!r:.80} cannot name a type")  # noqa: TRY004
        full = full_name(name, namespace, own)
        if not _FULL_NAME.fullmatch(full) or bare_name(full) in PRIMITIVES:
            raise ValueError(f"{full!r:.80} cannot name a type")
        if full in self._named:
            raise ValueError(f"type {full} is defined twice")
        return full

    def _record(self, schema: Mapping[str, Any], namespace: str) -> Record:
        full = self._define(schema, namespace)
        self._named[full] = None
        inner = "" if self._only_full_names else namespace_of(full)
        fields: dict[str, Field] = {}
        items = _part(schema, "fields")
        if not isinstance(items, list):
            raise ValueError(f"the fields of {full} are not a list")  # noqa: TRY004
        for item in items:
            name = item.get("name") if isinstance(item, Mapping) else None
            if not isinstance(name, str) or not _NAME.fullmatch(name) or name in fields:
                raise ValueError(f"record {full} has a field that is unnamed or repeated")
            avro_type = self.parse(_part(item, "type"), inner)
            fields[name] = Field(name, avro_type, "default" in item, item.get("default"))
        types = [each.type for each in fields.values()]
        record = Record(
            full,
            tuple(fields.values()),
            smallest=sum(map(smallest_size, types)),
            height=1 + max(map(height_of, types), default=0),
        )
        self._named[full] = record
        return record

    def _array(self, schema: Mapping[str, Any], namespace: str) -> Array:
        items = self.parse(_part(schema, "items"), namespace)
        if smallest_size(items) == 0:
            # A count with no bytes after it: 2**60 items would hide in nine bytes.
            raise ValueError("the items of an array take no bytes: they cannot hold a value")
        return Array(items)

    def _enum(self, schema: Mapping[str, Any], namespace: str) -> Leaf:
        name = self._define(schema, namespace)
        symbols = _part(schema, "symbols")
        if (
            not isinstance(symbols, list)
            or not symbols
            or not all(isinstance(symbol, str) for symbol in symbols)
            or len(set(symbols)) != len(symbols)
        ):
            raise ValueError(f"enum {name} needs a list of different symbols")
        leaf = Leaf("enum", name, symbols=tuple(symbols))
        self._named[name] = leaf
        return leaf

    def _fixed(self, schema: Mapping[str, Any], namespace: str) -> AvroType:
        name = self._define(schema, namespace)
        size = schema.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"fixed {name} needs a size in bytes")
        leaf = _with_logical_type(Leaf("fixed", name, size=size), schema)
        self._named[name] = leaf
        return leaf

    def _union(self, schema: list[Any], namespace: str) -> Union:
        branches = tuple(self.parse(branch, namespace) for branch in schema)
        if not branches or any(isinstance(branch, Union) for branch in branches):
            raise ValueError("a union needs branches that are no unions")
        kinds = [kind_in_json(branch) for branch in branches]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise ValueError(f"a union has two branches that are both {kind} in JSON")
        for first, second in combinations(branches, 2):
            _check_branch_order(first, second)
        return Union(branches)


def _check_branch_order(first: AvroType, second: AvroType) -> None:
    # fastavro, in other software, writes the first branch that could store a value, of any kind.
    if isinstance(first, Leaf) and first.kind in _STORED_AS_NUMBER:
        if isinstance(second, Leaf) and second.kind in _NUMBERS:
            raise ValueError(f"put {second.kind} before {first.kind}: a number could be either")
    elif isinstance(first, Array) and isinstance(second, Leaf) and second.kind in _STORED_AS_BYTES:
        raise ValueError(f"put {second.kind} before the array: bytes could be either")


def _part(schema: Mapping[str, Any], key: str) -> Any:
    if key not in schema:
        raise ValueError(f"{dict(schema)!r:.80} has no {key!r}")
    return schema[key]


def _with_logical_type(base: AvroType, schema: Mapping[str, Any]) -> AvroType:
    """Return the logical type that a schema annotates its base with, else the base."""
    if not isinstance(base, Leaf):
        return base
    match schema.get("logicalType"):
        case "decimal" if base.kind in {"bytes", "fixed"}:
            return _decimal(base, schema.get("precision"), schema.get("scale", 0))
        case str(name) if annotates(name, base.kind):
            return Leaf(name)
    return base


def _decimal(base: Leaf, precision: Any, scale: Any) -> Leaf:
    if type(precision) is not int or type(scale) is not int:
        return base
    if precision > MAX_PRECISION:
        raise ValueError(f"a decimal has at most {MAX_PRECISION} digits, not {precision}")
    if not 0 <= scale <= precision or precision == 0:
        raise ValueError(f"a decimal of {precision} digits cannot have {scale} after the point")
    if base.kind == "fixed" and not has_room(base.size, precision):
        raise ValueError(f"a fixed of {base.size} bytes has no room for {precision} digits")
    return Leaf("decimal", base.name, base.size, precision=precision, scale=scale)
