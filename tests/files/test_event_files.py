"""One event file: what is right, and what each mistake says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from platform_events.definitions.model import EventDefinition
from tests.files.reading import ONE_FIELD, event, read


def test_every_key_has_its_place() -> None:
    found = event(
        """
        event: Order_Placed__e
        label: Order placed
        description: An order was placed.
        owner: shop
        retention: 30d
        partitions: 4
        partition_key: order_id
        x-anything: {at: all}
        fields:
          - name: order_id
            type: string
            doc: Its number.
            x-note: 1
          - {name: amount, type: double, default: 0}
        """
    )
    assert found == EventDefinition(
        name="Order_Placed__e",
        schema=found.schema,
        label="Order placed",
        description="An order was placed.",
        owner="shop",
        retention_ms=2_592_000_000,
        partitions=4,
        partition_key="order_id",
    )
    assert (found.file, found.line) == ("f", 2)
    schema = json.loads(found.schema.text)
    assert schema["name"] == found.schema.name == "Order_Placed__e"
    assert schema["namespace"] == "platform_events"
    assert schema["doc"] == "An order was placed."
    names = [item["name"] for item in schema["fields"]]
    assert names == ["CreatedDate", "CreatedById", "order_id", "amount"]
    assert [item["type"] for item in schema["fields"][:2]] == ["long", "string"]
    assert schema["fields"][2] == {"name": "order_id", "type": "string", "doc": "Its number."}


def test_what_is_left_out_has_a_default() -> None:
    found = event("event: A__e\nfields: []\n")
    assert (found.retention_ms, found.partitions, found.partition_key) == (259_200_000, 1, None)
    assert (found.label, found.description, found.owner) == ("", "", "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "f:1:1: an event file is a mapping with event and fields, not a list"),
        ("text", "f:1:1: an event file is a mapping with event and fields, not the text 'text'"),
        (ONE_FIELD, "f:1:1: event is missing: "),
        ("event: A__e\n", "f:1:1: fields is missing: list the payload's fields"),
        (f"event: 7\n{ONE_FIELD}", "f:1:8: event: the number 7 cannot name an event: letters"),
        (f"event: Order\n{ONE_FIELD}", "f:1:8: event: the text 'Order' cannot name an event: "),
        (f"event: A__B__e\n{ONE_FIELD}", "f:1:8: event: the text 'A__B__e' cannot name an event"),
        (
            f"event: A__chn\n{ONE_FIELD}",
            "f:1:8: event: this is a channel's name; an event's ends in __e",
        ),
        (f"event: A__e\nlable: x\n{ONE_FIELD}", "f:2:1: lable: unknown key 'lable'; did you mean"),
        (f"event: A__e\nzzz: x\n{ONE_FIELD}", "known here: event, label, description, owner, ret"),
        (f"event: A__e\nlabel: 3\n{ONE_FIELD}", "f:2:8: label: must be text, not the number 3; "),
        (f'event: A__e\nlabel: "a\\nb"\n{ONE_FIELD}', "f:2:8: label: must be one line"),
        (f"event: A__e\nowner: true\n{ONE_FIELD}", "f:2:8: owner: must be text, not true"),
        (f"event: A__e\nretention: 72\n{ONE_FIELD}", "f:2:12: retention: must be a whole number w"),
        (f"event: A__e\nretention: 3 h\n{ONE_FIELD}", "retention: '3 h' is not a duration: write"),
        (f"event: A__e\nretention: 0h\n{ONE_FIELD}", "retention: must be from 1s to 3650d, not 0h"),
        (f"event: A__e\nretention: 3651d\n{ONE_FIELD}", "must be from 1s to 3650d, not 3651d"),
        (f"event: A__e\npartitions: 0\n{ONE_FIELD}", "f:2:13: partitions: must be a whole number "),
        (f"event: A__e\npartitions: 1001\n{ONE_FIELD}", "from 1 to 1000, not the number 1001"),
        (f"event: A__e\npartitions: true\n{ONE_FIELD}", "from 1 to 1000, not true"),
        (f"event: A__e\npartitions: 2\n{ONE_FIELD}", "more than one partition needs partition_key"),
        (
            f"event: A__e\npartition_key: [a]\n{ONE_FIELD}",
            "must be the name of a field, not a list",
        ),
        (f"event: A__e\npartition_key: b\n{ONE_FIELD}", "partition_key: there is no field 'b'"),
        ("event: A__e\nfields: {}\n", "f:2:9: fields: must be a list of fields, not a mapping"),
        ("event: A__e\nfields: [a]\n", "fields[0]: a field is {name: ..., type: ...}, not the te"),
    ],
)
def test_a_mistake_in_an_event_says_where_and_what(text: str, problem: str) -> None:
    found, problems = read(text)
    assert found is None
    assert len(problems) == 1
    assert problem in problems[0]


def test_every_problem_is_reported_at_once() -> None:
    _, problems = read(
        """
        event: order
        partitions: many
        partition_key: idd
        fields:
          - {name: id, type: strng}
          - {name: id, type: int}
          - {name: n, type: int, default: x}
          - {name: e, type: {type: enum, name: E, symbols: [1]}}
          - {name: f, type: E}
        """
    )
    places = [problem.split(": ")[0] for problem in sorted(problems)]
    assert places == ["f:2:8", "f:3:13", "f:4:16", "f:6:22", "f:7:12", "f:8:35", "f:9:53"]


def keyed_by(avro: str) -> str:
    return f"event: A__e\npartition_key: a\nfields: [{{name: a, type: {avro}}}]\n"


UUID = "{type: string, logicalType: uuid}"
ENUM = "{type: enum, name: E, symbols: [A]}"


@pytest.mark.parametrize("avro", ["string", "int", "long", UUID, ENUM])
def test_a_partition_key_is_text_or_a_whole_number(avro: str) -> None:
    assert event(keyed_by(avro)).partition_key == "a"


@pytest.mark.parametrize(
    "avro",
    [
        "double",
        "boolean",
        "bytes",
        "[null, string]",
        "[string]",
        "{type: int, logicalType: date}",
        "{type: array, items: int}",
        "{type: record, name: R, fields: []}",
    ],
)
def test_other_types_cannot_be_a_partition_key(avro: str) -> None:
    (problem,) = read(keyed_by(avro))[1]
    assert problem == (
        "f:2:16: partition_key: the field a cannot be a key: it must be one of "
        "string, enum, uuid, int, long and never null"
    )


def test_a_system_field_may_be_the_partition_key() -> None:
    text = "event: A__e\npartition_key: CreatedById\npartitions: 3\nfields: []\n"
    assert event(text).partitions == 3


AVRO = {
    "type": "record",
    "name": "A__e",
    "namespace": "shop.events",
    "fields": [{"name": "id", "type": "string"}],
}


WITH_AVRO = "event: A__e\navro: a.avsc\npartition_key: id\n"
DATE = {"name": "CreatedDate", "type": "long"}
BY = {"name": "CreatedById", "type": "string"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MISSPELT = {"name": "id", "type": "strng"}


@pytest.mark.parametrize("given", [[], [DATE], [BY], [DATE, BY]])
def test_system_fields_that_an_avro_file_lacks_are_inserted(given: list[Any]) -> None:
    found = event(WITH_AVRO, AVRO | {"fields": given + AVRO["fields"]})
    schema = json.loads(found.schema.text)
    assert [item["name"] for item in schema["fields"]] == ["CreatedDate", "CreatedById", "id"]
    assert schema["namespace"] == "shop.events"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ([{**DATE, "type": "int"}, BY], 'the system field CreatedDate has the type "long"'),
        ([{**DATE, "type": MILLIS}, BY], 'the system field CreatedDate has the type "long"'),
        ([DATE, {**BY, "type": ["null", "string"]}], 'CreatedById has the type "string"'),
        ([BY, DATE], "CreatedDate, CreatedById come first, in this order"),
        ([{"name": "x", "type": "int"}, DATE], "CreatedDate, CreatedById come first, in this o"),
    ],
)
def test_system_fields_in_an_avro_file_are_exact(fields: list[Any], problem: str) -> None:
    (found,) = read(WITH_AVRO, AVRO | {"fields": fields + AVRO["fields"]})[1]
    assert found.startswith("f.avsc:1:")
    assert problem in found


@pytest.mark.parametrize(
    ("text", "avro", "problem"),
    [
        (WITH_AVRO, AVRO | {"name": "B__e"}, "must be that of the event, A__e, not B__e"),
        (WITH_AVRO, "{", "f.avsc:1:2: not valid JSON"),
        (WITH_AVRO, AVRO | {"fields": [MISSPELT]}, "fields[0].type: 'strng'"),
        (WITH_AVRO + ONE_FIELD, AVRO, "f:2:1: avro: give fields or avro, not both"),
        ("event: A__e\navro: 3\n", AVRO, "f:2:7: avro: must be the path of an .avsc file, with"),
        (WITH_AVRO.replace("id", "idd"), AVRO, "there is no field 'idd'; did you mean id?"),
    ],
)
def test_a_mistake_around_an_avro_file_says_where(text: str, avro: Any, problem: str) -> None:
    found, problems = read(text, avro)
    assert found is None
    assert len(problems) == 1, problems
    assert problem in problems[0]
