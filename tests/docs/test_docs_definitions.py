"""The tables of docs/definitions.md say what the loader and the rule on changes do."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from platform_events.definitions.changes import COMPATIBILITIES, PROTECTED
from platform_events.definitions.compatibility import find_changes
from platform_events.definitions.durations import format_duration
from platform_events.definitions.schema import SYSTEM_FIELDS, Schema
from platform_events.files.notation import (
    CHANNEL_KEYS,
    COMPLEX_KEYS,
    EVENT_KEYS,
    FIELD_KEYS,
    KEY_KINDS,
    LOGICAL_TYPES,
    MAX_PARTITIONS,
    MAX_RETENTION,
    MEMBER_KEYS,
    MEMBER_STARTS,
    OPTIONAL_KEY,
    PRIMITIVES,
)
from platform_events.files.schema_source import parse_schema
from platform_events.names import MAX_NAME_LENGTH
from tests.docs.pages import first_column, names_in, page

NAME = "docs/definitions.md"
PAGE = page(NAME)


def test_keys() -> None:
    assert first_column(NAME, "Keys of an event") == [key.name for key in EVENT_KEYS]
    assert first_column(NAME, "Fields") == [key.name for key in (*FIELD_KEYS, OPTIONAL_KEY)]
    assert first_column(NAME, "Fields", 1) == list(SYSTEM_FIELDS)
    assert first_column(NAME, "Channels") == [key.name for key in CHANNEL_KEYS]
    assert first_column(NAME, "Channels", 1) == [key.name for key in MEMBER_KEYS]
    starts = {names_in(row[0])[0]: names_in(row[1]) for row in PAGE.table("Channels", 1)}["from"]
    assert tuple(starts) == MEMBER_STARTS


def test_types() -> None:
    assert set(first_column(NAME, "Types")) == {*PRIMITIVES, *COMPLEX_KEYS}
    rows = PAGE.table("Logical types")
    assert {names_in(row[0])[0]: tuple(names_in(row[1])) for row in rows} == {
        logical: kind.bases for logical, kind in LOGICAL_TYPES.items()
    }
    assert all(f"`{kind}`" in PAGE.sections["Partition key"] for kind in KEY_KINDS)


def test_limits() -> None:
    rules = {names_in(row[0])[0]: row[2] for row in PAGE.table("Keys of an event")}
    assert f"1 to {MAX_PARTITIONS}," in rules["partitions"]
    assert f"to {format_duration(MAX_RETENTION)}," in rules["retention"]
    assert f"at most {MAX_NAME_LENGTH} characters" in PAGE.prose


def field(avro_type: Any, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": avro_type, **more}


OPTIONAL = field(["null", "long"], "b", default=None)
ENUM = {"type": "enum", "name": "E", "symbols": ["X", "Y"]}
FIXED = {"type": "fixed", "name": "F", "size": 4}
RECORD = {"type": "record", "name": "R", "fields": [{"name": "x", "type": "int"}]}
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}

Fields = list[dict[str, Any]]
CHANGES: dict[str, list[tuple[Fields, Fields]]] = {
    "add a field with `optional: true`": [([field("int")], [field("int"), OPTIONAL])],
    "add any other field": [
        ([field("int")], [field("int"), field("int", "b")]),
        ([field("int")], [field("int"), field("int", "b", default=1)]),
    ],
    "remove a field with `optional: true`": [([field("int"), OPTIONAL], [field("int")])],
    "remove any other field": [
        ([field("int"), field("int", "b")], [field("int")]),
        ([field("int"), field("int", "b", default=1)], [field("int")]),
    ],
    "rename a field": [([field("int")], [field("int", "c")])],
    "reorder fields": [
        ([field("int"), field("int", "b")], [field("int", "b"), field("int")]),
    ],
    "`int` to `long`, `float`, `double`; `long` to `float`, `double`; `float` to `double`": [
        ([field(old)], [field(new)])
        for old, new in (
            ("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"),
            ("long", "double"), ("float", "double"),
        )
    ],
    "the same in the other direction": [
        ([field("long")], [field("int")]),
        ([field("double")], [field("long")]),
    ],
    "make a field optional, or add a branch to a union": [
        ([field("int")], [field(["null", "int"], default=None)]),
        ([field(["null", "int"])], [field(["null", "int", "string"])]),
    ],
    "remove null or another branch": [
        ([field(["null", "int"])], [field("int")]),
        ([field(["null", "int", "string"])], [field(["null", "int"])]),
    ],
    "add symbols to an enum": [([field(ENUM)], [field({**ENUM, "symbols": ["X", "Y", "Z"]})])],
    "remove symbols": [([field(ENUM)], [field({**ENUM, "symbols": ["X"]})])],
    "rename a `record`, `enum` or `fixed`": [
        ([field(old)], [field({**old, "name": "Other"})]) for old in (RECORD, ENUM, FIXED)
    ],
    "change a logical type, `precision` or `scale`": [
        ([field(MILLIS)], [field("long")]),
        ([field(MILLIS)], [field({**MILLIS, "logicalType": "timestamp-micros"})]),
        ([field(DECIMAL)], [field({**DECIMAL, "precision": 10})]),
        ([field(DECIMAL)], [field({**DECIMAL, "scale": 3})]),
    ],
    "change between `string` and `bytes`, or the size of a `fixed`": [
        ([field("string")], [field("bytes")]),
        ([field("bytes")], [field("string")]),
        ([field(FIXED)], [field({**FIXED, "size": 5})]),
    ],
    "change a doc, default, alias, label, description or owner": [
        (
            [field("int", default=1)],
            [field("int", default=2, doc="a", aliases=["z"])],
        ),
    ],
}  # fmt: skip
"""The rows about schemas, with changes as examples of each."""


def schema(fields: Fields) -> Schema:
    return parse_schema(json.dumps({"type": "record", "name": "A__e", "fields": fields}))


def test_the_table_of_changes_is_covered() -> None:
    rows = [row[0] for row in PAGE.table("What may change", 1)]
    assert rows == [*CHANGES]


@pytest.mark.parametrize("row", PAGE.table("What may change", 1), ids=lambda row: row[0][:40])
def test_what_a_change_breaks(row: list[str]) -> None:
    said = re.match(r"(nothing|new and old events|new events|old events)\b", row[1])
    assert said is not None
    expected = {f"{age} events" for age in ("new", "old") if age in said[1]}
    for old, new in CHANGES[row[0]]:
        changes = find_changes(schema(old), schema(new))
        found = {events for change in changes for events in change.breaks}
        assert found == expected, (old, new, changes)


def test_modes() -> None:
    rows = {names_in(row[0])[0]: row[1] for row in PAGE.table("What may change")}
    assert tuple(rows) == COMPATIBILITIES
    for mode in COMPATIBILITIES:
        assert {f"{age} events" for age in ("new", "old") if age in rows[mode]} == PROTECTED[mode]
    assert "default" in rows[COMPATIBILITIES[0]]


def test_what_keeps_the_schema_id_and_what_does_not() -> None:
    assert "keeps the ID" in PAGE.sections["Schema IDs"]
    ((old, new),) = CHANGES["change a doc, default, alias, label, description or owner"]
    assert schema(old).id == schema(new).id
    assert schema(old).text != schema(new).text
    ((old, new),) = CHANGES["add a field with `optional: true`"]
    assert schema(old).id != schema(new).id
