"""Which schema may follow which."""

from __future__ import annotations

import json
from typing import Any

import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import make_avsc_object
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_events.definitions.compatibility import Break, find_breaks
from platform_events.definitions.schema import Schema
from platform_events.files.document import Report
from platform_events.files.event_file import read_event
from platform_events.files.schema_source import parse_schema
from platform_events.files.yaml_document import read_yaml
from tests.files.definition_strategies import as_yaml, events


def schema(*fields: dict[str, Any], **more: Any) -> Schema:
    record = {"type": "record", "name": "A__e", "namespace": "n", "fields": list(fields)}
    return parse_schema(record | more)


def of(avro: Any, **more: Any) -> Schema:
    return schema({"name": "a", "type": avro, **more})


def record(*fields: Any, name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def field(name: str, avro: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": avro, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def fixed(size: int, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size, **more}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def mapping(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {
        "type": "bytes",
        "logicalType": "decimal",
        "precision": precision,
        "scale": scale,
    }


MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
UUID = {"type": "string", "logicalType": "uuid"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int", "int"),
        ("int", "long"),
        ("int", "float"),
        ("int", "double"),
        ("long", "double"),
        ("float", "double"),
        ("int", ["null", "int"]),
        ("int", ["null", "long"]),
        ("int", ["string", "int"]),
        (["null", "int"], ["null", "int", "string"]),
        (["null", "int"], ["int", "null"]),
        (["null", "int"], ["null", "double"]),
        (["int"], "long"),
        (enum("X"), enum("X", "Y")),
        (enum("X", "Y"), enum("Y", "X")),
        (enum("X"), enum("X", default="X")),
        (array("int"), array("long")),
        (mapping("int"), mapping(["null", "int"])),
        (MILLIS, MILLIS),
        (MILLIS, ["null", MILLIS]),
        (decimal(4, 2), decimal(4, 2)),
        (fixed(4), {**fixed(4), "aliases": ["G"]}),
        (record(field("x", "int")), record()),
        (
            record(field("x", "int")),
            record(field("x", "int"), field("y", ["null", "int"], default=None)),
        ),
        (record(), ["null", record(field("y", ["null", "int"], default=None))]),
    ],
)
def test_what_readers_of_the_new_version_can_read(old: Any, new: Any) -> None:
    assert find_breaks(of(old), of(new)) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "reason"),
    [
        ("long", "int", "a", "reader type: int not compatible with writer type: long"),
        ("double", "float", "a", "reader type: float not compatible"),
        ("int", "string", "a", "reader type: string not compatible"),
        ("int", "boolean", "a", "reader type: boolean not compatible"),
        ("string", "bytes", "a", "was string and is bytes"),
        ("bytes", "string", "a", "was bytes and is string"),
        (array("string"), array("bytes"), "a[]", "was string and is bytes"),
        ("string", ["null", "bytes"], "a", "no longer takes string; keep it among the types"),
        (["null", "int"], "int", "a", "no longer takes null"),
        (["null", "int"], ["null", "string"], "a", "no longer takes int"),
        (["int", "string"], ["string"], "a", "no longer takes int"),
        ("int", array("int"), "a", "was int and is a list of int"),
        (array("int"), mapping("int"), "a", "was a list of int and is a map of int"),
        (enum("X", "Y", "Z"), enum("Y"), "a", "the symbols X, Z were removed; keep them"),
        (enum("X", "Y"), enum("Y", default="Y"), "a", "the symbols X were removed"),
        (
            enum("X"),
            {**enum("X"), "name": "E2"},
            "a",
            "the type E was renamed to E2; keep its name",
        ),
        (enum("X"), {**enum("X"), "name": "E2", "aliases": ["E"]}, "a", "E was renamed to E2"),
        (enum("X"), "string", "a", "reader type: string not compatible with writer type: enum"),
        (fixed(4), fixed(5), "a", "was stored as a fixed of 4 bytes and is stored as a fixed of 5"),
        (fixed(4), {**fixed(4), "name": "G"}, "a", "the type F was renamed to G"),
        (record(), record(name="R2"), "a", "the type R was renamed to R2"),
        (array(mapping("long")), array(mapping("int")), "a[]{}", "reader type: int"),
        (
            array(record(field("x", "long"))),
            array(record(field("x", "int"))),
            "a[].x",
            "reader type: int",
        ),
        (
            ["null", record(field("x", mapping("long")))],
            ["null", record(field("x", mapping("int")))],
            "a.x{}",
            "reader type: int",
        ),
        (record(), record(field("x", "int")), "a.x", "a new field must be nullable with the def"),
        (record(), record(field("x", "int", default=1)), "a.x", "a new field must be nullable"),
        (record(), record(field("x", ["null", "int"])), "a.x", "a new field must be nullable"),
        (
            record(),
            record(field("x", ["int", "null"], default=1)),
            "a.x",
            "a new field must be nullable",
        ),
        (
            record(field("x", "int")),
            record(field("y", "int", aliases=["x"])),
            "a.y",
            "a renamed field is a new one",
        ),
        (MILLIS, MICROS, "a", "was timestamp-millis and is timestamp-micros; a logical type may"),
        (MILLIS, "long", "a", "was timestamp-millis and is long; a logical type may not change"),
        ("long", MILLIS, "a", "was long and is timestamp-millis"),
        ("int", DATE, "a", "was int and is date"),
        (DATE, MILLIS, "a", "was date and is timestamp-millis"),
        ("string", UUID, "a", "was string and is uuid"),
        (decimal(4, 2), decimal(5, 2), "a", "was a decimal of precision 4, scale 2 and is a decim"),
        (decimal(4, 2), decimal(4, 1), "a", "precision and scale may not change"),
        (decimal(4, 2), "bytes", "a", "was a decimal of precision 4, scale 2 and is bytes"),
        (array(decimal(4, 2)), array(decimal(4, 3)), "a[]", "precision and scale may not change"),
        (mapping(MILLIS), mapping(MICROS), "a{}", "a logical type may not change"),
        (["null", MILLIS], ["null", MICROS], "a", "no longer takes timestamp-millis"),
        (
            ["null", decimal(4, 2)],
            ["null", decimal(4, 0)],
            "a",
            "precision and scale may not change",
        ),
        (
            record(field("x", decimal(4, 2))),
            record(field("x", decimal(4, 0))),
            "a.x",
            "precision and scale may not change",
        ),
        (
            decimal(4, 2),
            fixed(4, logicalType="decimal", precision=4, scale=2),
            "a",
            "was stored as bytes and is stored as a fixed of 4 bytes",
        ),
    ],
)
def test_what_breaks_is_named_with_its_place(old: Any, new: Any, path: str, reason: str) -> None:
    (found,) = find_breaks(of(old), of(new))
    assert found.path == path
    assert reason in found.reason
    assert str(found).startswith(f"{path}: ")


def test_every_break_is_reported() -> None:
    old = schema(field("a", "long"), field("b", MILLIS), field("c", "int"))
    new = schema(field("a", "int"), field("b", MICROS), field("d", "int"))
    assert [found.path for found in find_breaks(old, new)] == ["a", "b", "d"]


@pytest.mark.parametrize(
    "change",
    [
        {"doc": "Other."},
        {"aliases": ["b"]},
        {"default": 3},
        {"order": "ignore"},
    ],
)
def test_texts_aliases_and_defaults_may_change(change: dict[str, Any]) -> None:
    assert find_breaks(of("int"), of("int", **change)) == []
    assert find_breaks(of("int", **change), of("int")) == []


def test_fields_may_be_removed_and_moved() -> None:
    old = schema(field("a", "int"), field("b", "string"), field("c", "int"))
    assert find_breaks(old, schema(field("c", "int"), field("a", "int"))) == []


def test_the_event_may_not_be_renamed_but_its_namespace_may() -> None:
    (found,) = find_breaks(of("int"), schema(field("a", "int"), name="B__e"))
    assert found == Break("", "the type A__e was renamed to B__e; keep its name")
    assert str(found) == found.reason
    assert find_breaks(of("int"), schema(field("a", "int"), namespace="other")) == []


def test_a_pair_of_types_is_compared_once() -> None:
    """2^30 paths lead to the innermost field."""

    def doubled(leaf: str) -> Schema:
        inner: Any = record(field("x", leaf), name="R0")
        for level in range(1, 30):
            name = inner["name"]
            inner = record(field("l", inner), field("r", name), name=f"R{level}")
        return of(inner)

    assert find_breaks(doubled("int"), doubled("long")) == []
    breaks = find_breaks(doubled("long"), doubled("int"))
    assert breaks[0].path == "a" + ".l" * 29 + ".x"
    assert len(breaks) <= 30


def test_a_broken_type_is_reported_at_each_use() -> None:
    def used_twice(leaf: str) -> Schema:
        return schema(field("a", record(field("x", leaf))), field("b", array("R")))

    breaks = find_breaks(used_twice("long"), used_twice("int"))
    assert [found.path for found in breaks] == ["a.x", "b[].x"]


def read(document: dict[str, Any]) -> Schema:
    root = read_yaml(as_yaml(document), Report("f"))
    assert root is not None
    event = read_event(root, Report("f"), lambda _: None)
    assert event is not None
    return event.schema


def without_annotations(avro: Any) -> Any:
    """Return a schema without what Apache Avro warns of or reads otherwise."""
    if isinstance(avro, list):
        return [without_annotations(part) for part in avro]
    if isinstance(avro, dict):
        dropped = ("logicalType", "precision", "scale")
        return {
            key: part if key in ("default", "symbols") else without_annotations(part)
            for key, part in avro.items()
            if key not in dropped
        }
    return avro


@given(events(), st.data())
@settings(max_examples=60)
def test_a_change_that_apache_avro_refuses_breaks(one: dict[str, Any], data: st.DataObject) -> None:
    fields = [dict(item) for item in one["fields"]]
    other = data.draw(events())["fields"]
    for item, replacement in zip(fields, other, strict=False):
        if data.draw(st.booleans()):
            item["type"] = replacement["type"]
            item.pop("default", None)
            item.pop("optional", None)
    two = {"event": one["event"], "fields": fields}
    for key in ("partitions", "partition_key"):
        one.pop(key, None)
    # Named types are numbered per document, so a replacement may redefine one.
    root = read_yaml(as_yaml(two), Report("f"))
    assert root is not None
    event = read_event(root, Report("f"), lambda _: None)
    if event is None:
        return
    old, new = read(one), event.schema
    assert find_breaks(old, old) == []
    reader, writer = (
        make_avsc_object(without_annotations(json.loads(version.text))) for version in (new, old)
    )
    verdict = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
    if verdict.compatibility is not SchemaCompatibilityType.compatible:
        assert find_breaks(old, new)
        assert all(found.path for found in find_breaks(old, new))
