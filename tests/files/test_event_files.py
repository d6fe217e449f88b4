"""One event file: what is right, and what each mistake says."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest

from platform_events.definitions.model import EventDefinition
from platform_events.files.document import Report
from platform_events.files.event_file import read_event
from platform_events.files.json_document import read_json
from platform_events.files.yaml_document import read_yaml

ONE_FIELD = "fields: [{name: a, type: string}]\n"


def read(text: str, avro: Any = None) -> tuple[EventDefinition | None, list[str]]:
    """Read an event, and the .avsc file that it may name; return it and all problems."""
    report, own = Report("f"), Report("f.avsc")

    def open_avro(_: Any) -> Any:
        root = read_json(avro if isinstance(avro, str) else json.dumps(avro), own)
        return root and (root, own)

    root = read_yaml(dedent(text), report)
    assert root is not None
    event = read_event(root, report, open_avro)
    return event, [str(problem) for problem in report.problems + own.problems]


def event(text: str, avro: Any = None) -> EventDefinition:
    found, problems = read(text, avro)
    assert not problems
    assert found is not None
    return found


def fields_of(text: str) -> list[dict[str, Any]]:
    """Return the schema's fields after the system fields."""
    return json.loads(event(text).schema.text)["fields"][2:]


def field(text: str) -> dict[str, Any]:
    (found,) = fields_of(f"event: A__e\nfields:\n  - {text}\n")
    return found


def problems_of_field(text: str) -> list[str]:
    found, problems = read(f"event: A__e\nfields:\n  - {text}\n")
    assert found is None
    return problems


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
    assert [item["name"] for item in schema["fields"]] == [
        "CreatedDate",
        "CreatedById",
        "order_id",
        "amount",
    ]
    assert [item["type"] for item in schema["fields"][:2]] == ["long", "string"]
    assert schema["fields"][2] == {"name": "order_id", "type": "string", "doc": "Its number."}


def test_what_is_left_out_has_a_default() -> None:
    found = event("event: A__e\nfields: []\n")
    assert (found.retention_ms, found.partitions, found.partition_key) == (259_200_000, 1, None)
    assert (found.label, found.description, found.owner) == ("", "", "")


@pytest.mark.parametrize(
    ("written", "avro"),
    [
        ("string", "string"),
        ('"null"', "null"),
        ("null", "null"),
        ("{type: string}", "string"),
        ("[null, int]", ["null", "int"]),
        ('[string, "null"]', ["string", "null"]),
        ("{type: array, items: long}", {"type": "array", "items": "long"}),
        ("{type: map, values: [null, int]}", {"type": "map", "values": ["null", "int"]}),
        (
            "{type: enum, name: E, symbols: [NO, YES], default: NO}",
            {"type": "enum", "name": "E", "symbols": ["NO", "YES"], "default": "NO"},
        ),
        (
            "{type: fixed, name: x.F, size: 4}",
            {"type": "fixed", "name": "F", "namespace": "x", "size": 4},
        ),
        (
            "{type: bytes, logicalType: decimal, precision: 9}",
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 0},
        ),
        (
            "{type: fixed, name: F, size: 3, logicalType: decimal, precision: 6, scale: 2}",
            {
                "type": "fixed",
                "name": "F",
                "size": 3,
                "logicalType": "decimal",
                "precision": 6,
                "scale": 2,
            },
        ),
        ("{type: string, logicalType: uuid}", {"type": "string", "logicalType": "uuid"}),
        ("{type: int, logicalType: date}", {"type": "int", "logicalType": "date"}),
        (
            "{type: record, name: R, doc: Why., fields: [{name: x, type: int, optional: true}]}",
            {
                "type": "record",
                "name": "R",
                "doc": "Why.",
                "fields": [{"name": "x", "type": ["null", "int"], "default": None}],
            },
        ),
    ],
)
def test_types_are_written_as_in_avro(written: str, avro: Any) -> None:
    assert field(f"{{name: a, type: {written}}}") == {"name": "a", "type": avro}


@pytest.mark.parametrize(
    ("written", "avro"),
    [
        ("string", ["null", "string"]),
        ("[int, string]", ["null", "int", "string"]),
    ],
)
@pytest.mark.parametrize("default", ["", ", default: null"])
def test_optional_is_null_first_with_default_null(
    written: str, avro: list[str], default: str
) -> None:
    found = field(f"{{name: a, type: {written}, optional: true{default}}}")
    assert found == {"name": "a", "type": avro, "default": None}


def test_optional_false_says_nothing() -> None:
    assert field("{name: a, type: int, optional: false}") == {"name": "a", "type": "int"}


def test_a_named_type_can_be_referred_to_after_its_definition() -> None:
    found = fields_of(
        """
        event: A__e
        fields:
          - {name: a, type: {type: enum, name: E, symbols: [X]}}
          - {name: b, type: E, default: X}
          - {name: c, type: {type: array, items: platform_events.E}}
        """
    )
    assert found[1:] == [
        {"name": "b", "type": "E", "default": "X"},
        {"name": "c", "type": {"type": "array", "items": "E"}},
    ]


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{type: string}", "f:3:5: fields[0]: the field has no name"),
        ("{name: a}", "f:3:5: fields[0]: the field has no type"),
        ("{name: 1a, type: int}", "fields[0].name: the text '1a' cannot name a field: letters"),
        ("{name: a-b, type: int}", "the text 'a-b' cannot name a field"),
        ("{name: NO, typ: int, type: int}", "fields[0].typ: unknown key 'typ'; did you mean type?"),
        ("{name: CreatedDate, type: long}", "CreatedDate is a system field that every event has"),
        ("{name: CreatedById, type: string}", "CreatedById is a system field that every event has"),
        (
            "{name: a, type: strng}",
            "f:3:21: fields[0].type: 'strng' is not a type; did you mean st",
        ),
        ("{name: a, type: Long}", "'Long' is not a type; did you mean long?"),
        ("{name: a, type: integer}", "write int (32 bits), long (64 bits) or double"),
        ("{name: a, type: number}", "write int (32 bits), long (64 bits) or double"),
        ("{name: a, type: bool}", "'bool' is not an Avro type: write boolean"),
        ("{name: a, type: datetime}", "write {type: long, logicalType: timestamp-millis}"),
        ("{name: a, type: date}", "is a logical type: write {type: int, logicalType: date}"),
        ("{name: a, type: decimal}", "write {type: bytes, logicalType: decimal, precision: 12, "),
        (
            "{name: a, type: object}",
            "write {type: record, name: Address, fields: [...]} or {type: ",
        ),
        ("{name: a, type: enum}", "enum needs more than a name: type: {type: enum, name: Status"),
        ("{name: a, type: qqqqqq}", "types are null, boolean, int, long, float, double, bytes, st"),
        ("{name: a, type: 5}", "must be a name, an object or a list of branches, not the number 5"),
        ("{name: a, type: []}", 'a union needs branches, such as ["null", string]'),
        ("{name: a, type: [int, [string]]}", "type[1]: a union cannot be in a union"),
        ("{name: a, type: {}}", "a type written as an object needs type"),
        ("{name: a, type: {type: [int]}}", "must be a word here, not a list; write that type with"),
        ("{name: a, type: {type: array}}", "the array has no items: write {type: array, items: st"),
        ("{name: a, type: {type: map}}", "the map has no values: write {type: map, values: string"),
        ("{name: a, type: {type: map, items: int, values: int}}", "unknown key 'items'"),
        ("{name: a, type: {type: enum, symbols: [A]}}", "the enum has no name: write {type: enum"),
        ("{name: a, type: {type: enum, name: E}}", "an enum needs symbols: a list such as"),
        ("{name: a, type: {type: enum, name: E, symbols: [a b]}}", "'a b' cannot be a symbol"),
        (
            "{name: a, type: {type: enum, name: E, symbols: [true]}}",
            "symbol: letters, digits and _,",
        ),
        ("{name: a, type: {type: enum, name: E, symbols: [A, A]}}", "the symbol A is repeated"),
        (
            "{name: a, type: {type: enum, name: E, symbols: [OPEN], default: OPN}}",
            "the text 'OPN' is not one of the symbols; did you mean OPEN?",
        ),
        (
            "{name: a, type: {type: fixed, name: F}}",
            "a fixed needs size: its bytes, 1 to 1,000,000",
        ),
        ("{name: a, type: {type: fixed, name: F, size: 0}}", "size: a fixed needs size"),
        ("{name: a, type: {type: fixed, name: long, size: 1}}", "long is a word of Avro"),
        ("{name: a, type: {type: fixed, name: 1F, size: 1}}", "'1F' cannot name a type"),
        ("{name: a, type: {type: fixed, name: F, namespace: -, size: 1}}", "cannot be a namespace"),
        ("{name: a, type: {type: record, name: R}}", "the record has no fields"),
        ("{name: a, type: {type: int, logicalType: dat}}", "supported; did you mean date?"),
        (
            "{name: a, type: {type: long, logicalType: timestamp-nanos}}",
            "did you mean timestamp-mi",
        ),
        ("{name: a, type: {type: int, logicalType: timestamp-millis}}", "annotates long, not int"),
        (
            "{name: a, type: {type: string, logicalType: decimal}}",
            "annotates bytes or fixed, not st",
        ),
        (
            "{name: a, type: {type: bytes, logicalType: decimal}}",
            "a decimal needs precision: its d",
        ),
        (
            "{name: a, type: {type: bytes, logicalType: decimal, precision: 2, scale: 3}}",
            "scale: must be the digits after the point, 0 to 2 here",
        ),
        (
            "{name: a, type: {type: fixed, name: F, size: 3, logicalType: decimal, precision: 7}}",
            "precision: 3 bytes cannot hold 7 digits; raise size",
        ),
        ("{name: a, type: {type: bytes, scale: 2}}", "scale belongs to logicalType: decimal"),
        ("{name: a, type: string, logicalType: uuid}", "logicalType belongs inside the type"),
        ("{name: a, type: int, doc: 3}", "doc: must be text, not the number 3; put it in quotes"),
        ("{name: a, type: int, aliases: b}", "aliases: must be a list of names"),
        ("{name: a, type: int, aliases: [b c]}", "aliases: must be a list of names"),
        ("{name: a, type: int, optional: 1}", "optional: must be true or false, not the number 1"),
        ("{name: a, type: [null, int], optional: true}", "the type already has null; remove opti"),
        ("{name: a, type: int, optional: true, default: 3}", "an optional field has the default n"),
        ("{name: a, type: {type: record, name: R, fields: [{name: x}]}}", "type.fields[0]: the fi"),
        ("{name: a, type: {type: record, name: R, fields: [{name: b, type: R}]}}", "recursive"),
    ],
)
def test_a_mistake_in_a_field_says_where_and_what(text: str, problem: str) -> None:
    problems = problems_of_field(text)
    assert len(problems) == 1, problems
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("branches", "problem"),
    [
        ("[int, double]", "type[1]: int and double are both a number in JSON"),
        ("[string, bytes]", "string and bytes are both text in JSON"),
        ("[string, string]", "string and string are both text in JSON"),
        ("[string, {type: string, logicalType: uuid}]", "string and uuid are both text in JSON"),
        (
            "[string, {type: long, logicalType: timestamp-millis}]",
            "and timestamp-millis are both te",
        ),
        ("[{type: enum, name: E, symbols: [A]}, string]", "E and string are both text in JSON"),
        ("[bytes, {type: fixed, name: F, size: 2}]", "bytes and F are both text in JSON"),
        ("[{type: map, values: int}, {type: record, name: R, fields: []}]", "are both an object"),
        ("[{type: array, items: int}, {type: array, items: long}]", "are both a list in JSON"),
        (
            "[int, {type: int, logicalType: date}]",
            "int and date are both stored as int, which Avro",
        ),
        ("[null, int, null]", "null and null are both null in JSON"),
    ],
)
def test_a_union_of_one_json_kind_is_refused(branches: str, problem: str) -> None:
    (found,) = problems_of_field(f"{{name: a, type: {branches}}}")
    assert problem in found


def test_branches_of_different_json_kinds_are_accepted() -> None:
    field(
        "{name: a, type: [null, boolean, long, {type: int, logicalType: date}, "
        "{type: array, items: int}, {type: map, values: int}]}"
    )


def test_a_type_used_before_its_definition_is_named_with_its_line() -> None:
    _, problems = read(
        """
        event: A__e
        fields:
          - {name: a, type: Late}
          - {name: b, type: {type: enum, name: Late, symbols: [X]}}
          - {name: c, type: {type: enum, name: Late, symbols: [X]}}
        """
    )
    before = "f:4:21: fields[0].type: 'Late' is not known here: it is defined on line 5; "
    assert problems == [
        before + "write it out at its first use, then refer to it by name",
        "f:6:40: fields[2].type.name: Late is already defined on line 5; refer to it by its name",
    ]


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
    assert [problem.split(": ")[0] for problem in sorted(problems)] == [
        "f:2:8",
        "f:3:13",
        "f:4:16",
        "f:6:22",
        "f:7:12",
        "f:8:35",
        "f:9:53",
    ]


@pytest.mark.parametrize(
    "avro",
    [
        "string",
        "int",
        "long",
        "{type: string, logicalType: uuid}",
        "{type: enum, name: E, symbols: [A]}",
    ],
)
def test_a_partition_key_is_text_or_a_whole_number(avro: str) -> None:
    text = f"event: A__e\npartition_key: a\nfields: [{{name: a, type: {avro}}}]\n"
    assert event(text).partition_key == "a"


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
    text = f"event: A__e\npartition_key: a\nfields: [{{name: a, type: {avro}}}]\n"
    (problem,) = read(text)[1]
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
        (
            [{**DATE, "type": {"type": "long", "logicalType": "timestamp-millis"}}, BY],
            'the system field CreatedDate has the type "long"',
        ),
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
        (
            WITH_AVRO,
            AVRO | {"fields": [{"name": "id", "type": "strng"}]},
            "fields[0].type: 'strng'",
        ),
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
