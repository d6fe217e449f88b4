"""Which schema may follow which."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import make_avsc_object
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_events.definitions.compatibility import find_changes
from platform_events.definitions.schema import Schema
from platform_events.files.schema_source import parse_schema
from tests.files.definition_strategies import as_yaml, events
from tests.files.reading import event, read
from tests.growth import assert_grows_linearly

if TYPE_CHECKING:
    from collections.abc import Callable


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
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
DATE = {"type": "int", "logicalType": "date"}
UUID = {"type": "string", "logicalType": "uuid"}


NOBODY: frozenset[str] = frozenset()
OLD = frozenset({"old events"})
NEW = frozenset({"new events"})
BOTH = OLD | NEW


def differ(old: Schema, new: Schema) -> dict[str, frozenset[str]]:
    """Return whose readers each change breaks, by path."""
    return {change.path: change.breaks for change in find_changes(old, new)}


def swap(breaks: frozenset[str]) -> frozenset[str]:
    return {OLD: NEW, NEW: OLD}.get(breaks, breaks)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int", "int"),
        (["null", "int"], ["int", "null"]),
        (enum("X", "Y"), enum("Y", "X")),
        (enum("X"), enum("X", default="X")),
        (MILLIS, MILLIS),
        (decimal(4, 2), decimal(4, 2)),
        (fixed(4), {**fixed(4), "aliases": ["G"]}),
        (
            record(field("x", "int"), field("y", "int")),
            record(field("y", "int"), field("x", "int")),
        ),
        (["int"], "int"),
    ],
)
def test_what_no_reader_can_tell_is_no_change(old: Any, new: Any) -> None:
    assert find_changes(of(old), of(new)) == []
    assert find_changes(of(new), of(old)) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "breaks", "text"),
    [
        ("int", "long", "a", NEW, "retyped from int to long"),
        ("int", "double", "a", NEW, "retyped from int to double"),
        ("long", "float", "a", NEW, "retyped from long to float"),
        ("float", "double", "a", NEW, "retyped from float to double"),
        (["int"], "long", "a", NEW, "retyped from int to long"),
        ("int", "string", "a", BOTH, "retyped from int to string"),
        ("int", "boolean", "a", BOTH, "retyped from int to boolean"),
        ("string", "bytes", "a", BOTH, "retyped from string to bytes"),
        (array("string"), array("bytes"), "a[]", BOTH, "retyped from string to bytes"),
        ("string", ["null", "bytes"], "a", BOTH, "retyped from string to null or bytes"),
        ("int", ["null", "int"], "a", NEW, "retyped from int to null or int"),
        ("int", ["null", "long"], "a", NEW, "retyped from int to null or long"),
        (["null", "long"], ["null", "int"], "a", OLD, "from null or long to null or int"),
        (["null", "int"], ["null", "int", "string"], "a", NEW, "to null, int or string"),
        (["null", "int"], ["null", "string"], "a", BOTH, "from null or int to null or string"),
        (["int", "string"], ["string"], "a", OLD, "retyped from int or string to string"),
        ("int", array("int"), "a", BOTH, "retyped from int to a list of int"),
        (array("int"), mapping("int"), "a", BOTH, "from a list of int to a map of int"),
        (enum("X"), enum("X", "Y"), "a", NEW, "the enum E changed; with Y more"),
        (enum("X", "Y", "Z"), enum("Y"), "a", OLD, "the enum E changed; without X, Z"),
        (enum("X"), enum("Y"), "a", BOTH, "the enum E changed; without X, with Y more"),
        (enum("X"), enum("X", "Y", default="X"), "a", NEW, "with Y more"),
        (enum("X"), {**enum("X"), "name": "E2"}, "a", BOTH, "a renamed type is another one"),
        (enum("X"), {**enum("X"), "name": "E2", "aliases": ["E"]}, "a", BOTH, "renamed type"),
        (enum("X"), "string", "a", BOTH, "retyped from the enum E to string"),
        (fixed(4), fixed(5), "a", BOTH, "from the fixed F of 4 bytes to the fixed F of 5"),
        (fixed(4), {**fixed(4), "name": "G"}, "a", BOTH, "a renamed type is another one"),
        (record(), record(name="R2"), "a", BOTH, "from the record R to the record R2; a renamed"),
        (array(mapping("int")), array(mapping("long")), "a[]{}", NEW, "retyped from int to long"),
        (array(record(field("x", "int"))), array(record(field("x", "long"))), "a[].x", NEW, "long"),
        (["null", record(field("x", mapping("int")))],
         ["null", record(field("x", mapping("long")))], "a.x{}", NEW, "retyped from int to long"),
        (record(), record(field("x", "int")), "a.x", OLD, "added, int"),
        (record(), record(field("x", "int", default=1)), "a.x", OLD, "added, int"),
        (record(), record(field("x", ["null", "int"])), "a.x", OLD, "added, null or int"),
        (record(), record(field("x", ["int", "null"], default=1)), "a.x", OLD, "added, int or"),
        (MILLIS, MICROS, "a", BOTH,
         "from timestamp-millis to timestamp-micros; a logical type may"),
        (MILLIS, "long", "a", BOTH, "from timestamp-millis to long; a logical type may not change"),
        ("int", DATE, "a", BOTH, "retyped from int to date"),
        (DATE, MILLIS, "a", BOTH, "retyped from date to timestamp-millis"),
        ("string", UUID, "a", BOTH, "retyped from string to uuid"),
        (decimal(4, 2), decimal(5, 2), "a", BOTH,
         "from a decimal of precision 4, scale 2 to a dec"),
        (decimal(4, 2), decimal(4, 1), "a", BOTH, "precision and scale may not change"),
        (decimal(4, 2), "bytes", "a", BOTH, "from a decimal of precision 4, scale 2 to bytes"),
        (array(decimal(4, 2)), array(decimal(4, 3)), "a[]", BOTH, "precision and scale may not"),
        (mapping(MILLIS), mapping(MICROS), "a{}", BOTH, "a logical type may not change"),
        (["null", MILLIS], ["null", MICROS], "a", BOTH, "from null or timestamp-millis to null or"),
        (["null", decimal(4, 2)], ["null", decimal(4, 0)], "a", BOTH,
         "precision and scale may not change"),
        (decimal(4, 2), fixed(4, logicalType="decimal", precision=4, scale=2), "a", BOTH,
         "scale 2 to a decimal of precision 4, scale 2 in 4 bytes"),
    ],
)  # fmt: skip
def test_what_changes_is_named_with_its_place_and_whom_it_breaks(
    old: Any, new: Any, path: str, breaks: frozenset[str], text: str
) -> None:
    (found,) = find_changes(of(old), of(new))
    assert (found.path, found.breaks) == (path, breaks)
    assert str(found).startswith(f"{path}: ")
    assert text in str(found)
    assert differ(of(new), of(old)) == {path: swap(breaks)}


def test_an_optional_field_may_come_and_go() -> None:
    less = of(record(field("x", "int")))
    more = of(record(field("x", "int"), field("y", ["null", "int"], default=None)))
    assert [str(change) for change in find_changes(less, more)] == ["a.y: added, null or int"]
    assert [str(change) for change in find_changes(more, less)] == [
        "a.y: removed, was null or int; readers must expect it missing"
    ]
    assert differ(less, more) == differ(more, less) == {"a.y": NOBODY}


def test_a_renamed_field_is_removed_and_added() -> None:
    old, new = of("int"), schema(field("b", "int", aliases=["a"]))
    assert differ(old, new) == {"b": OLD, "a": NEW}


def test_a_change_knows_its_place_in_the_new_version() -> None:
    old = of(record(field("x", "int"), field("y", "int")), doc="b")
    new = schema(field("a", record(field("x", array("string")))), field("b", array("R")))
    places = {change.path: change.field for change in find_changes(old, new)}
    assert places == {"a.x": ("n.R", "x"), "a.y": ("n.R", ""), "b": ("n.A__e", "b")}


def test_every_break_is_reported() -> None:
    old = schema(field("a", "long"), field("b", MILLIS), field("c", "int"))
    new = schema(field("a", "int"), field("b", MICROS), field("d", "int"))
    assert differ(old, new) == {"a": OLD, "b": BOTH, "d": OLD, "c": NEW}


@pytest.mark.parametrize(
    "change", [{"doc": "Other."}, {"aliases": ["b"]}, {"default": 3}, {"order": "ignore"}]
)
def test_texts_aliases_and_defaults_may_change(change: dict[str, Any]) -> None:
    assert find_changes(of("int"), of("int", **change)) == []
    assert find_changes(of("int", **change), of("int")) == []


def test_the_event_may_not_be_renamed_but_its_namespace_may() -> None:
    (found,) = find_changes(of("int"), schema(field("a", "int"), name="B__e"))
    assert (found.path, found.breaks) == ("", BOTH)
    assert "from the record A__e to the record B__e" in str(found)
    assert find_changes(of("int"), schema(field("a", "int"), namespace="other")) == []


def test_a_pair_of_types_is_compared_once() -> None:
    """2^30 paths lead to the innermost field."""

    def doubled(leaf: str) -> Schema:
        inner: Any = record(field("x", leaf), name="R0")
        for level in range(1, 30):
            name = inner["name"]
            inner = record(field("l", inner), field("r", name), name=f"R{level}")
        return of(inner)

    assert find_changes(doubled("int"), doubled("int")) == []
    changes = find_changes(doubled("long"), doubled("int"))
    assert changes[0].path == "a" + ".l" * 29 + ".x"
    assert len(changes) <= 30


def test_a_broken_type_is_reported_at_each_use() -> None:
    def used_twice(leaf: str) -> Schema:
        return schema(field("a", record(field("x", leaf))), field("b", array("R")))

    assert differ(used_twice("long"), used_twice("int")) == {"a.x": OLD, "b[].x": OLD}


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
def test_a_change_that_apache_avro_refuses_breaks_those_readers(
    one: dict[str, Any], data: st.DataObject
) -> None:
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
    new_event, _ = read(as_yaml(two))
    if new_event is None:
        return
    old, new = event(as_yaml(one)).schema, new_event.schema
    assert find_changes(old, old) == []
    changes = find_changes(old, new)
    assert all(change.path for change in changes)
    theirs = {
        version: make_avsc_object(without_annotations(json.loads(version.text)))
        for version in (old, new)
    }
    for events_, reader, writer in (("new events", old, new), ("old events", new, old)):
        verdict = ReaderWriterCompatibilityChecker().get_compatibility(
            theirs[reader], theirs[writer]
        )
        if verdict.compatibility is not SchemaCompatibilityType.compatible:
            assert any(events_ in change.breaks for change in changes)
    mirrored = {change.path: swap(frozenset(change.breaks)) for change in find_changes(new, old)}
    assert mirrored == {change.path: change.breaks for change in changes}


def test_symbols_that_changed_are_listed_up_to_a_number() -> None:
    symbols = [f"S{index}" for index in range(2000)]
    (change,) = find_changes(of(enum(*symbols[:1000])), of(enum(*symbols[1000:])))
    listed = ", ".join(symbols[:10]), ", ".join(symbols[1000:1010])
    assert change.note == f"without {listed[0]}, ..., with {listed[1]}, ... more"


@pytest.mark.parametrize("kind", ["enum", "record", "array"])
def test_a_type_that_many_fields_name_is_compared_once(kind: str) -> None:
    def prepare(size: int) -> Callable[[], object]:
        def version(count: int) -> Schema:
            named = enum(*(f"S{index}" for index in range(count)))
            match kind:
                case "record":
                    named = record(*(field(f"g{index}", "int") for index in range(size)))
                case "array":
                    named = array(record(field("x", named)))
            uses = "E" if kind == "enum" else "R"
            others = (field(f"f{index}", uses) for index in range(size))
            return schema(field("a", named), *others)

        old, new = version(size), version(size + 1)
        assert old.parsed
        assert new.parsed
        return lambda: find_changes(old, new)

    assert_grows_linearly(prepare)
