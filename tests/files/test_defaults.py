"""Defaults of fields: each must fit its type exactly."""

from __future__ import annotations

import pytest

from platform_events.payloads.kinds import LOGICAL_TYPES, WHOLE_NUMBERS
from tests.files.reading import field, problems_of_field

RECORD = "{type: record, name: R, fields: [{name: x, type: int}, {name: y, type: int, default: 1}]}"
DECIMAL = "{type: bytes, logicalType: decimal, precision: 4, scale: 2}"
FIXED_DECIMAL = "{type: fixed, name: F, size: 2, logicalType: decimal, precision: 4, scale: 2}"
ENUM = "{type: enum, name: E, symbols: [OPEN, CLOSED]}"


def logical(base: str, name: str) -> str:
    return f"{{type: {base}, logicalType: {name}}}"


@pytest.mark.parametrize(
    ("avro", "default"),
    [
        ("null", "null"),
        ("boolean", "false"),
        ("int", "-2147483648"),
        ("long", "9223372036854775807"),
        ("float", "0.1"),
        ("float", "16777216"),
        ("double", "1"),
        ("double", "1.5e300"),
        ("string", "''"),
        ("string", "NO"),
        ("bytes", r'"\u00ff\u0000"'),
        ("{type: fixed, name: F, size: 2}", r'"\u00ffa"'),
        (ENUM, "OPEN"),
        (DECIMAL, r'"\u0004\u00e2"'),
        (FIXED_DECIMAL, r'"\u00ff\u009c"'),
        (logical("int", "date"), "0"),
        (logical("int", "time-millis"), "86399999"),
        (logical("long", "timestamp-micros"), "-1"),
        (logical("string", "uuid"), "123e4567-e89b-12d3-a456-426614174000"),
        ("{type: array, items: int}", "[]"),
        ("{type: array, items: [null, int]}", "[null]"),
        ("{type: map, values: string}", "{a: b}"),
        (RECORD, "{x: 3}"),
        ("[null, string]", "null"),
        ('[string, "null"]', "x"),
    ],
)
def test_a_default_that_fits_is_kept(avro: str, default: str) -> None:
    assert "default" in field(f"{{name: a, type: {avro}, default: {default}}}")


@pytest.mark.parametrize("kind", WHOLE_NUMBERS)
def test_whole_numbers_fit_up_to_the_ends_that_are_told(kind: str) -> None:
    base = LOGICAL_TYPES[kind].bases[0] if kind in LOGICAL_TYPES else kind
    avro = logical(base, kind) if kind in LOGICAL_TYPES else kind
    least, greatest = WHOLE_NUMBERS[kind]
    for number in (least, greatest):
        assert field(f"{{name: a, type: {avro}, default: {number}}}")["default"] == number
    for number in (least - 1, greatest + 1):
        (problem,) = problems_of_field(f"{{name: a, type: {avro}, default: {number}}}")
        assert f"from {least} to {greatest}, not the number {number}" in problem


@pytest.mark.parametrize(
    ("avro", "default", "problem"),
    [
        ("null", "0", "default: must be null, not the number 0"),
        ("boolean", "0", "must be true or false, not the number 0"),
        ("boolean", "NO", "must be true or false, not the text 'NO'"),
        ("int", "2147483648", "must be a whole number from -2147483648 to 2147483647"),
        ("int", "1.0", "not the number 1.0"),
        ("int", "true", "not true"),
        ("int", "null", "not null"),
        ("long", "9223372036854775808", "must be a whole number from -9223372036854775808 to"),
        ("float", "1e39", "must be a finite number in the range of float"),
        ("float", "16777217", "must be a number that float holds exactly, such as 16777216"),
        ("double", "9007199254740993", "must be a number that double holds exactly"),
        ("double", ".inf", "must be a finite number in the range of double"),
        ("double", ".nan", "must be a finite number"),
        ("double", "1" + "0" * 390, "must be a finite number in the range of double"),
        ("double", "'1'", "must be a number, not the text '1'"),
        ("double", "true", "must be a number, not true"),
        ("string", "3", "must be text (in quotes), not the number 3"),
        ("bytes", r'"\u0100"', "must be text of characters up to U+00FF, one for each byte"),
        ("{type: fixed, name: F, size: 2}", "abc", "must be text of 2 characters up to U+00FF"),
        (ENUM, "OPNE", "the text 'OPNE' is not one of the symbols; did you mean OPEN?"),
        (ENUM, "0", "the number 0 is not one of the symbols; they are 'OPEN, CLOSED'"),
        (DECIMAL, '"12.50"',
         r'must be the decimal\'s unscaled value as bytes: write "\u0004\u00e2"'),
        (DECIMAL, "-1", r'write "\u009c" for -1'),
        (DECIMAL, '"12.505"', "must be the decimal's unscaled value as bytes"),
        (DECIMAL, '""', "must be an unscaled value of 1 to 4 digits, as bytes"),
        (DECIMAL, r'"\u0027\u0010"', "must be an unscaled value of 1 to 4 digits, as bytes"),
        (FIXED_DECIMAL, "12.5", r'write "\u0004\u00e2" for 12.5'),
        (FIXED_DECIMAL, r'"\u0001"', "must be text of 2 characters"),
        (logical("int", "date"), "2024-01-31",
         "must be a whole number (days since 1970-01-01) from"),
        (logical("int", "date"), "2932897", "from -719162 to 2932896, not the number 2932897"),
        (logical("int", "time-millis"), "86400000", "from 0 to 86399999"),
        (logical("long", "timestamp-millis"), "253402300800000", "from -62135596800000 to"),
        (logical("string", "uuid"), "abc", "must be a UUID of the form 8-4-4-4-12"),
        ("{type: array, items: int}", "{}", "must be a list, not a mapping"),
        ("{type: array, items: int}", "[1, x]", "default[1]: must be a whole number"),
        ("{type: map, values: int}", "[]", "must be a mapping, not a list"),
        ("{type: map, values: int}", "{k: x}", "default.k: must be a whole number"),
        (RECORD, "[]", "must be a mapping of the record's fields, not a list"),
        (RECORD, "{y: 1}", "the default lacks the field x, which has no default"),
        (RECORD, "{x: 1, z: 1}", "default.z: the record platform_events.R has no field"),
        (RECORD, "{x: 1.5}", "default.x: must be a whole number"),
        ("[null, string]", "x", "must fit its first branch, and the text 'x' does not; put the b"),
        ("[null, string]", "3", "must be null, not the number 3"),
        ('[string, "null"]', "null", "must fit its first branch, and null does not"),
    ],
)  # fmt: skip
def test_a_default_that_does_not_fit_is_refused(avro: str, default: str, problem: str) -> None:
    problems = problems_of_field(f"{{name: a, type: {avro}, default: {default}}}")
    assert len(problems) == 1, problems
    assert problem.replace("\\'", "'") in problems[0]
