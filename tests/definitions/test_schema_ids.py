"""Schemas: their IDs, their normal form, and what they refuse."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from platform_events.definitions.schema import guid_from_schema_id, schema_id_from_guid
from platform_events.errors import DefinitionsError, UsageError
from platform_events.files.schema_source import parse_schema

SYSTEM = [{"name": "CreatedDate", "type": "long"}, {"name": "CreatedById", "type": "string"}]


def record(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "A__e", "namespace": "n", "fields": list(fields)} | more


def field(avro: Any, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": avro} | more


def optional(name: str, avro: str) -> dict[str, Any]:
    return field(["null", avro], name, default=None, doc="Data:Text:00N")


@pytest.mark.parametrize(
    ("name", "fields", "schema_id"),
    [
        (
            "Order_Event__e",
            [
                optional("Order_Number__c", "string"),
                optional("City__c", "string"),
                optional("Amount__c", "double"),
            ],
            "_CADE3qaegX3ECEW0rlbYA",
        ),
        ("Test_Event__e", [optional("Message__c", "string")], "6L0yfG1TjHj3IeYaje5uZQ"),
    ],
)
def test_ids_are_those_of_other_pub_sub_servers(
    name: str, fields: list[dict[str, Any]], schema_id: str
) -> None:
    schema = parse_schema(record(*SYSTEM, *fields, name=name, namespace="com.sforce.eventbus"))
    assert (schema.id, schema.name) == (schema_id, name)


def test_the_id_is_the_md5_of_the_canonical_form() -> None:
    schema = parse_schema(
        record(
            field({"type": "long", "logicalType": "timestamp-millis"}),
            field({"type": "enum", "name": "E", "symbols": ["X"]}, "b"),
            field(["null", "E"], "c"),
        )
    )
    canonical = (
        '{"name":"n.A__e","type":"record","fields":[{"name":"a","type":"long"},'
        '{"name":"b","type":{"name":"n.E","type":"enum","symbols":["X"]}},'
        '{"name":"c","type":["null","n.E"]}]}'
    )
    guid = hashlib.md5(canonical.encode()).digest()
    assert schema.guid == guid
    assert schema.id == urlsafe_b64encode(guid).decode().rstrip("=")


def test_apache_avro_agrees_where_there_is_no_logical_type() -> None:
    from avro.schema import make_avsc_object

    source = record(
        field("int"),
        field({"type": "record", "name": "x.B", "fields": [field(["null", "long"])]}, "b"),
        field({"type": "map", "values": "x.B"}, "c"),
    )
    assert parse_schema(source).guid == make_avsc_object(source).fingerprint("md5")


BASE = record(field("int"), field("long", "b"), field("bytes", "c"))


@pytest.mark.parametrize(
    "change",
    [
        record(field("int", doc="A number."), *BASE["fields"][1:]),
        record(field("int", default=1), *BASE["fields"][1:]),
        record(field("int", aliases=["old"]), *BASE["fields"][1:]),
        record(field("int", order="ignore"), *BASE["fields"][1:]),
        record(*BASE["fields"], doc="An event.", aliases=["B"]),
        record(field({"type": "int", "logicalType": "date"}), *BASE["fields"][1:]),
        record(
            field("int"),
            field({"type": "long", "logicalType": "timestamp-micros"}, "b"),
            field("bytes", "c"),
        ),
        record(
            *BASE["fields"][:2],
            field({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, "c"),
        ),
    ],
)
def test_the_id_ignores_what_bytes_do_not_depend_on(change: dict[str, Any]) -> None:
    assert parse_schema(change).id == parse_schema(BASE).id
    assert parse_schema(change) != parse_schema(BASE)


@pytest.mark.parametrize(
    "change",
    [
        record(*BASE["fields"], name="B__e"),
        record(*BASE["fields"], namespace="m"),
        record(*reversed(BASE["fields"])),
        record(field("long"), *BASE["fields"][1:]),
        record(field("int", "z"), *BASE["fields"][1:]),
    ],
)
def test_the_id_depends_on_names_types_and_order(change: dict[str, Any]) -> None:
    assert parse_schema(change).id != parse_schema(BASE).id


def test_equal_schemas_have_equal_text() -> None:
    one = parse_schema(
        '{"fields": [{"type": {"name": "n.E", "symbols": ["X"], "type": "enum"}, "name": "a"},'
        ' {"type": "n.E", "name": "b"}, {"type": {"type": "string"}, "name": "c"}],'
        ' "name": "n.A__e", "type": "record"}'
    )
    two = parse_schema(
        record(
            field({"type": "enum", "name": "E", "symbols": ["X"]}),
            field("E", "b"),
            field("string", "c"),
        )
    )
    assert one == two
    assert hash(one) == hash(two)
    assert json.loads(two.text)["fields"][1] == {"name": "b", "type": "E"}


def test_text_keeps_everything_and_reads_back() -> None:
    schema = parse_schema(
        record(
            field("int", doc="Größe", default=3, aliases=["b"]),
            field({"type": "string", "avro.java.string": "String"}, "s"),
            doc="An event.",
            owner={"team": ["shop"]},
        )
    )
    assert parse_schema(schema.text) == schema
    assert '"doc":"Größe"' in schema.text
    assert '"avro.java.string":"String"' in schema.text
    assert '"owner":{"team":["shop"]}' in schema.text


def test_parsed_is_what_fastavro_makes_of_it() -> None:
    parsed = parse_schema(BASE).parsed
    assert parsed["name"] == "n.A__e"
    assert parsed is parse_schema(BASE).parsed


def test_an_id_and_its_bytes_are_the_same() -> None:
    guid = bytes(range(16))
    assert guid_from_schema_id(schema_id_from_guid(guid)) == guid
    assert len(schema_id_from_guid(guid)) == 22


@pytest.mark.parametrize(
    "text", ["", "A" * 21, "A" * 21 + "B", "A" * 24, "A" * 21 + "=", "A" * 20 + "+A", "é" * 22]
)
def test_other_text_is_no_schema_id(text: str) -> None:
    with pytest.raises(UsageError, match="is not a schema ID"):
        guid_from_schema_id(text)


def test_a_guid_has_16_bytes() -> None:
    with pytest.raises(UsageError, match="16 bytes, not 15"):
        schema_id_from_guid(bytes(15))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("", "schema:1:1: the file is empty"),
        ("[]", 'schema:1:1: the schema of an event is a record: {"type": "record", "name": ...}'),
        ('"string"', "schema:1:1: the schema of an event is a record"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "the schema of an event is a record"),
        ({"a": {1, 2}}, "schema: not JSON: Object of type set"),
        (record(field("int", defualt=1)), "defualt: unknown key 'defualt'; did you mean default?"),
        (record(field("int", logicalType="date")), "logicalType belongs inside the type"),
        (record(field("int", optional=True)), "Avro has no optional"),
        (record(field("int", order="up")), "order: must be ascending, descending or ignore"),
        (record(field("int"), __fastavro_parsed=True), "unknown key '__fastavro_parsed'"),
        (record(field(None)), "fields[0].type: must be a name, an object or a list"),
        (record(field({"type": "array", "items": "int", "default": []})), "unknown key 'default'"),
        (
            record(field({"type": "record", "name": "A__e", "fields": []})),
            "A__e is already defined on line 1",
        ),
        (
            record(
                field({"type": "fixed", "name": "F", "size": 1}), field({"type": "F", "x": 1}, "b")
            ),
            "fields[1].type.x: F is only referred to here; write x where it is defined",
        ),
        (record(field("A__e")), "recursive types are not supported: A__e would contain itself"),
        (record(field({"type": "array", "items": "null"})), "the items of an array take no bytes"),
    ],
)
def test_what_is_no_schema_of_an_event_is_refused(source: Any, problem: str) -> None:
    with pytest.raises(DefinitionsError) as refusal:
        parse_schema(source)
    assert problem in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_type_that_contains_itself_is_refused_where_it_does() -> None:
    inner = {
        "type": "record",
        "name": "B__e",
        "fields": [field({"type": "map", "values": "A__e"}), field("B__e", "own")],
    }
    for source, places in (
        (record(field(["null", "A__e"])), ["fields[0].type[1]"]),
        (
            record(field({"type": "array", "items": inner})),
            ["fields[0].type.items.fields[0].type.values", "fields[0].type.items.fields[1].type"],
        ),
    ):
        with pytest.raises(DefinitionsError) as refusal:
            parse_schema(source)
        problems = refusal.value.problems
        assert len(problems) == len(places)
        for problem, place in zip(problems, places, strict=True):
            assert f"{place}: recursive types are not supported" in str(problem)
