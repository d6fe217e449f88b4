"""A schema as fastavro is to have it.

fastavro writes a field that was left out as its default, but takes the default's JSON for the
value: here it gets the value. Decimals go through it as bytes and are converted here: it refuses
`1.50` for scale 1, and reads too many digits as a rounded number, a megabyte of them in minutes.
All other logical types are fastavro's, without those that only a later version knows.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from platform_events.errors import PayloadError
from platform_events.payloads.json_values import Compiler, read_default
from platform_events.payloads.kinds import annotates
from platform_events.payloads.types import Array, AvroType, Leaf, Map, Record, Union
from platform_events.payloads.values import decimal_writer

if TYPE_CHECKING:
    from collections.abc import Mapping

_MANY_SYMBOLS = 100
"""From here on a list is slower to look through than it is to ask for an index in Python."""


def library_schema(
    schema: Any, record: Record
) -> tuple[dict[str, Any], dict[Record, dict[str, Any]]]:
    """Return a schema for fastavro, and its defaults' values by record and field.

    Args:
        schema: as JSON has it, or as fastavro parsed it; it stays as it is.
        record: what was read from it.

    Raises:
        ValueError: fastavro does not take it, or a default does not fit its field.
    """
    from fastavro.schema import SchemaParseException, parse_schema

    try:
        parsed: Any = deepcopy(parse_schema(schema))
    except SchemaParseException as error:
        raise ValueError(f"{error!s:.200}") from None
    defaults: dict[Record, dict[str, Any]] = {}
    _adapt(record, parsed, defaults)
    return parsed, defaults


class _Symbols(list[str]):
    """Symbols of an enum; fastavro asks the list for the index of each one that it writes."""

    def __init__(self, indexes: Mapping[str, int]) -> None:
        super().__init__(indexes)
        self._indexes = indexes

    def index(self, symbol: str, *_: Any) -> int:
        # A member of a StrEnum may hash otherwise than the text it is.
        return self._indexes[str.__str__(symbol)]


def _adapt(avro_type: AvroType, schema: Any, defaults: dict[Record, dict[str, Any]]) -> None:
    match avro_type, schema:
        case (Array(items=part), {"items": inner}) | (Map(values=part), {"values": inner}):
            _adapt(part, inner, defaults)
        case Union(branches=branches), list():
            for branch, inner in zip(branches, schema, strict=True):
                _adapt(branch, inner, defaults)
        case Record(name=name, fields=fields), dict():
            values = defaults[avro_type] = {}
            for item, inner in zip(fields, schema["fields"], strict=True):
                _adapt(item.type, inner["type"], defaults)
                if item.has_default:
                    try:
                        value = values[item.name] = read_default(item.type, item.default)
                    except PayloadError as error:
                        raise ValueError(f"default of {item.name} in {name}: {error}") from None
                    convert = Compiler(decimal_writer).converter(item.type)
                    inner["default"] = convert(value) if convert else value
        case Leaf(), dict():
            _adapt_leaf(avro_type, schema)


def _adapt_leaf(leaf: Leaf, schema: dict[str, Any]) -> None:
    if len(leaf.symbols) > _MANY_SYMBOLS:
        schema["symbols"] = _Symbols(leaf.indexes)
    # Decimals, and what only a later fastavro knows.
    if not annotates(schema.get("logicalType", ""), schema["type"]):
        schema.pop("logicalType", None)
