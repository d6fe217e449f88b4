"""Finds what is wrong with a payload that the encoder refused, and names the place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from platform_events.errors import PayloadError
from platform_events.payloads.type_names import NAME
from platform_events.payloads.types import Array, AvroType, Leaf, Map, Record, Union
from platform_events.payloads.values import (
    MisfitError,
    check_text,
    expectation,
    json_kind,
    leaf_check,
    show,
)
from platform_events.wording import suggest

_PLAIN = re.compile(NAME)
_SHOWN = 40


def explain(avro_type: AvroType, value: Any, path: str = "") -> PayloadError | None:
    """Return the first thing wrong with a value, None if it fits its type.

    A field that does not exist comes before one that is missing, and that before wrong values, in
    the schema's order. The error's path is such as `items[2].price`.
    """
    try:
        _check(avro_type, value, path)
    except PayloadError as error:
        return error
    return None


def join_path(path: str, name: Any) -> str:
    """Return the path of a field of the record at `path`."""
    if isinstance(name, str) and _PLAIN.fullmatch(name) and len(name) <= 2 * _SHOWN:
        return f"{path}.{name}" if path else str(name)
    return key_path(path, name)


def key_path(path: str, key: Any) -> str:
    """Return the path of a value of the map at `path`."""
    if not isinstance(key, str):
        return f"{path}[{show(key)}]"
    return f"{path}[{json.dumps(key[:_SHOWN])}]"


def _check(avro_type: AvroType, value: Any, path: str) -> None:
    match avro_type:
        case Leaf():
            try:
                leaf_check(avro_type)(value)
            except MisfitError as misfit:
                raise PayloadError(path, str(misfit)) from None
        case Array(items=items):
            if not isinstance(value, (list, tuple)):
                raise PayloadError(path, f"expected a list (an array), got {show(value)}")
            for index, item in enumerate(value):
                _check(items, item, f"{path}[{index}]")
        case Map(values=values):
            _check_map(values, value, path)
        case Union():
            branch = _branch_of(avro_type, value)
            if branch is None:
                taken = ", ".join(_name(branch) for branch in avro_type.branches)
                raise PayloadError(path, f"expected one of {taken}, got {show(value)}")
            _check(branch, value, path)
        case Record():
            _check_record(avro_type, value, path)


def _branch_of(union: Union, value: Any) -> AvroType | None:
    """Return the branch which a value names by its kind, None if there is none."""
    null = union.branch_of("null")
    if value is None and null is not None:
        return null
    others = [branch for branch in union.branches if branch is not null]
    if len(others) == 1:
        return others[0]
    return union.branch_of(json_kind(value)) or union.branch_of("string")


def _name(avro_type: AvroType) -> str:
    match avro_type:
        case Leaf(kind="enum"):
            return expectation(avro_type)
        case Leaf(kind=kind):
            return kind
        case Record(name=name):
            return name
    return "array" if isinstance(avro_type, Array) else "map"


def _check_map(values: AvroType, value: Any, path: str) -> None:
    if not isinstance(value, Mapping):
        raise PayloadError(path, f"expected a mapping (a map), got {show(value)}")
    for key, item in value.items():
        place = key_path(path, key)
        try:
            check_text(key)
        except MisfitError as misfit:
            raise PayloadError(place, f"as a key: {misfit}") from None
        _check(values, item, place)


def _check_record(record: Record, value: Any, path: str) -> None:
    if not isinstance(value, Mapping):
        raise PayloadError(path, f"expected a mapping of fields (a record), got {show(value)}")
    fields = {item.name: item for item in record.fields}
    for key in value:
        if key not in fields:
            raise PayloadError(join_path(path, key), _unknown(record, key))
    for name, item in fields.items():
        if not item.has_default and name not in value:
            raise PayloadError(join_path(path, name), "is missing and has no default")
    for name, item in fields.items():
        if name in value:
            _check(item.type, value[name], join_path(path, name))


def _unknown(record: Record, key: Any) -> str:
    if not isinstance(key, str):
        return f"field names are text, got {show(key)}"
    return f"{record.name} has no such field{suggest(key, [item.name for item in record.fields])}"
