"""Fields of an event file: their types, and what each mistake says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.files.reading import field, fields_of, problems_of_field, read


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
        ("{type: enum, name: E, symbols: [NO, YES], default: NO}",
         {"type": "enum", "name": "E", "symbols": ["NO", "YES"], "default": "NO"}),
        ("{type: fixed, name: x.F, size: 4}",
         {"type": "fixed", "name": "F", "namespace": "x", "size": 4}),
        ("{type: bytes, logicalType: decimal, precision: 9}",
         {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 0}),
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
)  # fmt: skip
def test_types_are_written_as_in_avro(written: str, avro: Any) -> None:
    assert field(f"{{name: a, type: {written}}}") == {"name": "a", "type": avro}


@pytest.mark.parametrize(
    ("written", "avro"),
    [("string", ["null", "string"]), ("[int, string]", ["null", "int", "string"])],
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
        ("{type: string}", "f:3:5: fields[0]: the field has no name"),
        ("{name: a}", "f:3:5: fields[0]: the field has no type"),
        ("{name: 1a, type: int}", "fields[0].name: the text '1a' cannot name a field: letters"),
        ("{name: a-b, type: int}", "the text 'a-b' cannot name a field"),
        ("{name: NO, typ: int, type: int}", "fields[0].typ: unknown key 'typ'; did you mean type?"),
        ("{name: CreatedDate, type: long}", "CreatedDate is a system field that every event has"),
        ("{name: CreatedById, type: string}", "CreatedById is a system field that every event has"),
        ("{name: a, type: strng}",
         "f:3:21: fields[0].type: 'strng' is not a type; did you mean st"),
        ("{name: a, type: Long}", "'Long' is not a type; did you mean long?"),
        ("{name: a, type: integer}", "write int (32 bits), long (64 bits) or double"),
        ("{name: a, type: number}", "write int (32 bits), long (64 bits) or double"),
        ("{name: a, type: bool}", "'bool' is not an Avro type: write boolean"),
        ("{name: a, type: Checkbox}", "'Checkbox' is not an Avro type: write boolean"),
        (
            "{name: a, type: string?}",
            "write [\"null\", string], or the type alone and optional: true",
        ),
        ("{name: a, type: array<string>}", "write {type: array, items: string}"),
        ("{name: a, type: 'map<str, int64[]>'}", "{type: map, values: {type: array, items: long}}"),
        ("{name: a, type: List<Text?>}", 'write {type: array, items: ["null", string]}'),
        ("{name: a, type: date?}", 'write ["null", {type: int, logicalType: date}]'),
        ("{name: a, type: array<3>}", "'array<3>' is not a type"),
        ("{name: a, type: integer?}", "'integer?' is not a type"),
        ("{name: a, type: what<string>}", "'what<string>' is not a type"),
        ("{name: a, type: string" + "?" * 5_000 + "}", "is not a type"),
        ("{name: a, type: datetime}", "write {type: long, logicalType: timestamp-millis}"),
        ("{name: a, type: date}", "is a logical type: write {type: int, logicalType: date}"),
        ("{name: a, type: decimal}", "write {type: bytes, logicalType: decimal, precision: 12, "),
        ("{name: a, type: object}",
         "write {type: record, name: Address, fields: [...]} or {type: "),
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
        ("{name: a, type: {type: enum, name: E, symbols: [true]}}",
         "symbol: letters, digits and _,"),
        ("{name: a, type: {type: enum, name: E, symbols: [A, A]}}", "the symbol A is repeated"),
        ("{name: a, type: {type: enum, name: E, symbols: [OPEN], default: OPN}}",
         "the text 'OPN' is not one of the symbols; did you mean OPEN?"),
        ("{name: a, type: {type: fixed, name: F}}",
         "a fixed needs size: its bytes, 1 to 1,000,000"),
        ("{name: a, type: {type: fixed, name: F, size: 0}}", "size: a fixed needs size"),
        ("{name: a, type: {type: fixed, name: long, size: 1}}", "long is a word of Avro"),
        ("{name: a, type: {type: fixed, name: 1F, size: 1}}", "'1F' cannot name a type"),
        ("{name: a, type: {type: fixed, name: F, namespace: -, size: 1}}", "cannot be a namespace"),
        ("{name: a, type: {type: record, name: R}}", "the record has no fields"),
        ("{name: a, type: {type: int, logicalType: dat}}", "supported; did you mean date?"),
        ("{name: a, type: {type: long, logicalType: timestamp-nanos}}",
         "did you mean timestamp-mi"),
        ("{name: a, type: {type: int, logicalType: timestamp-millis}}", "annotates long, not int"),
        ("{name: a, type: {type: string, logicalType: decimal}}",
         "annotates bytes or fixed, not st"),
        ("{name: a, type: {type: bytes, logicalType: decimal}}",
         "a decimal needs precision: its d"),
        ("{name: a, type: {type: bytes, logicalType: decimal, precision: 2, scale: 3}}",
         "scale: must be the digits after the point, 0 to 2 here"),
        ("{name: a, type: {type: fixed, name: F, size: 3, logicalType: decimal, precision: 7}}",
         "precision: 3 bytes cannot hold 7 digits; raise size"),
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
)  # fmt: skip
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
