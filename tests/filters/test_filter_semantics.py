from __future__ import annotations

import itertools
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_events.errors import UsageError
from platform_events.filters import (
    FilterError,
    check_filter,
    compile_filter,
    evaluate,
    explain,
    parse_filter,
)
from platform_events.filters.patterns import MAX_WILD_PART, compile_pattern
from tests.filters.filter_samples import ADDRESS, fits, judge, schema_of
from tests.payloads.expectations import logical

FLAG = ["null", "boolean"]
VALUES = (True, False, None)


def test_and_and_or_know_three_values() -> None:
    fields = {"a": FLAG, "b": FLAG}
    for pair in itertools.product(VALUES, repeat=2):
        payload = dict(zip("ab", pair, strict=True))
        both = False if False in pair else None if None in pair else True
        either = True if True in pair else None if None in pair else False
        assert judge(fields, payload, "a = TRUE AND b = TRUE") is both, payload
        assert judge(fields, payload, "a = TRUE OR b = TRUE") is either, payload


@pytest.mark.parametrize(("value", "expected"), [(True, False), (False, True), (None, None)])
def test_not_unknown_is_unknown(value: bool | None, expected: bool | None) -> None:
    assert judge({"a": FLAG}, {"a": value}, "NOT a = TRUE") is expected
    assert judge({"a": FLAG}, {"a": value}, "a != TRUE") is expected
    assert judge({"a": FLAG}, {"a": value}, "NOT NOT a != TRUE") is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 'a'", None),
        ("x != 'a'", None),
        ("x < 'a'", None),
        ("x >= 'a'", None),
        ("x LIKE '%'", None),
        ("x IN ('a', 'b')", None),
        ("x NOT IN ('a', 'b')", None),
        ("NOT x IN ('a')", None),
        ("x = null", True),
        ("x != null", False),
        ("NOT x = null", False),
        ("x = 'a' OR x = null", True),
    ],
)
def test_comparing_null_is_unknown(text: str, expected: bool | None) -> None:
    assert judge({"x": ["null", "string"]}, {"x": None}, text) is expected


def timestamp(micros: int = 0) -> datetime:
    return datetime(2021, 7, 9, 18, 30, 11, micros, UTC)


DECIMAL = logical("bytes", "decimal", precision=6, scale=2)
MILLIS = logical("long", "timestamp-millis")
MICROS = logical("long", "timestamp-micros")
COLOR = {"type": "enum", "name": "Color", "symbols": ["RED", "Green", "green", "BLUE"]}
TYPES = [
    ("string", "Straße", "x = 'STRASSE'", True),
    ("string", "Straße", "x = 'strase'", False),
    ("string", "b", "x > 'A'", True),
    ("string", "B", "x > 'a' AND x < 'c'", True),
    ("string", "B", "x <= 'b' AND x >= 'b'", True),
    ("string", "Z", "x < 'ä'", True),
    ("string", "abc", "x IN ('x', 'ABC')", True),
    ("string", "abc", "x NOT IN ('x', 'ABC')", False),
    ("string", " a", "x = 'a'", False),
    ("string", "", "x = ''", True),
    ("string", "", "x = null", False),
    ("string", "New York", "x LIKE 'new%'", True),
    ("string", "New York", "x LIKE '%YORK'", True),
    ("string", "New York", "x LIKE 'york%'", False),
    ("string", "New York", "x LIKE 'n%w%y%k'", True),
    ("string", "New York", "x LIKE 'new_york'", True),
    ("string", "New York", "x LIKE 'new york_'", False),
    ("string", "New York", "x LIKE 'new'", False),
    ("string", "New\nYork", "x LIKE 'new%york' AND x LIKE 'new_york'", True),
    ("string", "aXbXc", "x LIKE '%x%c'", True),
    ("string", "abab", "x LIKE '%ab'", True),
    ("string", "aab", "x LIKE '%ab%b'", False),
    ("string", "a.c", "x LIKE 'a.c'", True),
    ("string", "abc", "x LIKE 'a.c'", False),
    ("string", "a\\c", r"x LIKE 'a\\c'", True),
    ("string", "", "x LIKE '%'", True),
    ("string", "", "x LIKE ''", True),
    ("string", "ß", "x LIKE '__'", True),
    ("int", 10, "x < 10.5", True),
    ("int", 10, "x <= 10.5", True),
    ("int", 10, "x > 10.5", False),
    ("int", 10, "x >= 10.5", False),
    ("int", 11, "x > 10.5 AND x >= 10.5", True),
    ("int", 10, "x = 10.5", False),
    ("int", 10, "x != 10.5", True),
    ("int", 10, "x IN (10.5, 10.00)", True),
    ("int", 10, "x NOT IN (10.5)", True),
    ("int", -10, "x > -10.5", True),
    ("int", -10, "x < -9.5", True),
    ("int", 10, "x = +1e1", True),
    ("int", 1, "x < 99999999999999999999", True),
    ("int", 0, "x > 1e-999", False),
    ("long", 2**53 + 1, "x = 9007199254740993", True),
    ("long", 2**53 + 1, "x = 9007199254740992", False),
    ("long", 2**53, "x < 9007199254740992.5", True),
    ("long", 2_147_483_648, "x > 2147483647", True),
    ("float", 0.1, "x = 0.1", True),
    ("float", 0.1, "x < 0.1", False),
    ("float", 0.1, "x NOT IN (0.1)", False),
    ("float", -0.0, "x = 0", True),
    ("float", math.inf, "x > 1e38", True),
    ("double", 0.1, "x = 0.1", True),
    ("double", 0.1, "x = 0.10000000000000000555", True),
    ("double", 2.0, "x IN (1, 2)", True),
    ("double", math.nan, "x = 1", None),
    ("double", math.nan, "x != 1", None),
    ("double", math.nan, "x < 1", None),
    ("double", math.nan, "x NOT IN (1)", None),
    ("double", math.nan, "x = null", False),
    ("float", math.nan, "x != 1", None),
    (DECIMAL, Decimal("10.10"), "x = 10.1", True),
    (DECIMAL, Decimal("10.10"), "x < 10.101", True),
    (DECIMAL, Decimal("10.10"), "x = 10.101", False),
    (DECIMAL, Decimal("-0.01"), "x > -0.011", True),
    (DECIMAL, Decimal("-0.01"), "x < 0 AND x >= -1e-2", True),
    (DECIMAL, Decimal("9999.99"), "x < 10000", True),
    (DECIMAL, Decimal(5), "x IN (5)", True),
    ("boolean", True, "x = TRUE", True),
    ("boolean", False, "x = true", False),
    ("boolean", False, "x != True", True),
    (COLOR, "RED", "x = 'red'", True),
    (COLOR, "RED", "x != 'RED'", False),
    (COLOR, "green", "x = 'GREEN'", True),
    (COLOR, "Green", "x = 'green'", True),
    (COLOR, "BLUE", "x IN ('red', 'green')", False),
    (COLOR, "BLUE", "x NOT IN ('red', 'green')", True),
    (logical("string", "uuid"), UUID(int=10), "x = '00000000-0000-0000-0000-00000000000A'", True),
    (logical("string", "uuid"), UUID(int=10), "x LIKE '%A'", True),
    (logical("int", "date"), date(2021, 7, 9), "x = 2021-07-09", True),
    (logical("int", "date"), date(2021, 7, 9), "x > 2021-07-08 AND x < 2021-07-10", True),
    (logical("int", "date"), date(1969, 12, 31), "x < 1970-01-01", True),
    (MILLIS, timestamp(), "x = 2021-07-09T10:30:11-08:00", True),
    (MILLIS, timestamp(), "x = 2021-07-09T18:30:11Z", True),
    (MILLIS, timestamp(), "x = 2021-07-10T00:00:11+05:30", True),
    (MILLIS, timestamp(5000), "x = 2021-07-09T18:30:11.005Z", True),
    (MILLIS, timestamp(5000), "x = 2021-07-09T18:30:11.0050001Z", False),
    (MILLIS, timestamp(5000), "x < 2021-07-09T18:30:11.0050001Z", True),
    (MILLIS, timestamp(5000), "x >= 2021-07-09T18:30:11.0049999Z", True),
    (MICROS, timestamp(1), "x > 2021-07-09T18:30:11.0000005Z", True),
    (MICROS, timestamp(1), "x IN (2021-07-09T18:30:11.000001Z)", True),
    (MILLIS, datetime(1969, 12, 31, 23, tzinfo=UTC), "x < 1970-01-01T00:00:00Z", True),
    (
        logical("long", "local-timestamp-millis"),
        timestamp().replace(hour=10, tzinfo=None),
        "x = 2021-07-09T10:30:11",
        True,
    ),
    (logical("int", "time-millis"), time(10, 30, 11, 5000), "x = 10:30:11.005", True),
    (logical("long", "time-micros"), time(10, 30, 11, 5), "x > 10:30:11", True),
    (logical("int", "time-millis"), time(10, 30, 11), "x < 10:30:11.0001", True),
    ({"type": "array", "items": "long"}, [1], "x != null", True),
    (["null", {"type": "map", "values": "long"}], {"a": 1}, "x = null", False),
    (["null", {"type": "map", "values": "long"}], None, "x = null", True),
    (["null", "bytes"], b"x", "x != null", True),
    (["null", "long", "string"], "x", "x != null", True),
    (["null", "long", "string"], None, "x != null", False),
    ("null", None, "x = null", True),
]


@pytest.mark.parametrize(("avro_type", "value", "text", "expected"), TYPES)
def test_values_compare_by_type(avro_type: Any, value: Any, text: str, expected: Any) -> None:
    assert judge({"before": "string", "x": avro_type}, {"before": "x", "x": value}, text) is (
        expected
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CreatedDate = 1625855411000", True),
        ("CreatedDate = 2021-07-09T10:30:11-08:00", True),
        ("CreatedDate > 2021-07-09T18:30:10.9999Z", True),
        ("CreatedDate IN (5, 2021-07-09T18:30:11Z)", True),
        ("CreatedDate < 2021-07-09T18:30:11Z", False),
    ],
)
def test_created_date_takes_numbers_and_times(text: str, expected: bool) -> None:
    assert judge({"CreatedDate": "long"}, {"CreatedDate": 1_625_855_411_000}, text) is expected


@pytest.mark.parametrize(
    ("address", "text", "expected"),
    [
        ({"street": "a", "city": {"name": "Rome"}}, "address.city.name = 'rome'", True),
        ({"street": "a", "city": {"name": "Rome"}}, "address.street = 'b'", False),
        ({"street": None, "city": None}, "address.street = 'b'", None),
        ({"street": None, "city": None}, "address.city.name != 'rome'", None),
        ({"street": "a", "city": None}, "address.city = null AND address != null", True),
        (None, "address.city.name = null", True),
        (None, "address.city.name = 'x' OR address.street = 'x'", None),
        (None, "address = null AND address.city = null AND address.street = null", True),
    ],
)
def test_a_nested_field_is_null_with_its_parent(address: Any, text: str, expected: Any) -> None:
    fields = {"address": ["null", ADDRESS], "last": "long"}
    assert judge(fields, {"address": address, "last": 1}, text) is expected


def test_one_field_may_be_compared_often() -> None:
    fields = {"a": ["null", "string"], "b": "int"}
    text = "a = null OR (a > 'b' AND a < 'd' AND a != 'CC') OR b IN (1) AND a = 'x'"
    expected = {None: True, "c": True, "cc": False, "X": True}
    for value, verdict in expected.items():
        assert judge(fields, {"a": value, "b": 1}, text) is verdict


def test_a_payload_may_lack_a_field_which_then_is_null() -> None:
    expression = check_filter("a = null", schema_of({"a": ["null", "string"]}))
    assert evaluate(expression, {}) is True


def test_a_pattern_of_many_wildcards_takes_no_time() -> None:
    # Given back, each place of a part would be tried with each place of the next one: 10**20 ways.
    text = f"x LIKE '{'%a' * 20}%b'"
    assert judge({"x": "string"}, {"x": "a" * 3000}, text) is False


@pytest.mark.parametrize("part", ["a" * 100_000 + "b", "b" + "a" * 100_000, "a" * 100_000])
def test_a_long_part_of_a_pattern_is_not_tried_at_each_place(part: str) -> None:
    # That would take 10**11 steps.
    text = "a" * 1_000_000
    for pattern in (f"%{part}%", f"a%{part}", f"{part}%a", f"%{part}%{part}"):
        matches = compile_pattern(pattern)
        assert matches(text) is ("b" not in part)
        assert not matches(f"{text}c") or pattern.endswith("%")


@given(st.text("ab%_", max_size=12), st.text("ab", max_size=12))
@settings(max_examples=300)  # short texts, of which few match
def test_a_pattern_matches_what_trying_every_length_finds(pattern: str, text: str) -> None:
    assert compile_pattern(pattern)(text) is fits(pattern, text)


def test_a_part_with_a_wildcard_character_has_a_limit() -> None:
    most = "_" + "a" * (MAX_WILD_PART - 1)
    schema = schema_of({"x": "string"})
    for pattern in (f"%{most}%", f"{most}_%", f"%{most}_", f"{most}a", f"%{'a' * 200}%"):
        check_filter(f"x LIKE '{pattern}'", schema)
    with pytest.raises(FilterError, match="at most 64 characters if _ is among them, not 65"):
        check_filter(f"x LIKE '%{most}a%'", schema)


def test_reasons_are_cut() -> None:
    numbers = ", ".join(map(str, range(4000)))
    expression = check_filter(f"x IN ({numbers})", schema_of({"x": "int"}))
    listed = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."
    assert explain(expression, {"x": -1}) == [f"x IN ({listed}) is false: x is -1"]
    expression = check_filter(f"x = '{'a' * 500}'", schema_of({"x": "string"}))
    assert explain(expression, {"x": "b"}) == [f"x = '{'a' * 56}... is false: x is 'b'"]


REASONS = [
    ("delay >= 60", ["delay >= 60 is false: delay is 12"]),
    ("carrier IN ('AA', 'UA')", ["carrier IN ('AA', 'UA') is unknown: carrier is null"]),
    ("delay >= 60 AND city = 'x'", ["delay >= 60 is false: delay is 12"]),
    (
        "delay >= 60 OR carrier != 'AA'",
        ["delay >= 60 is false: delay is 12", "carrier != 'AA' is unknown: carrier is null"],
    ),
    ("NOT city LIKE 'X%'", ["city LIKE 'X%' is true: city is 'x'"]),
    ("NOT (city = 'x' OR delay = 1)", ["city = 'x' is true: city is 'x'"]),
    (
        "delay > 60 AND (delay > 60 OR city = 'y')",
        ["delay > 60 is false: delay is 12", "city = 'y' is false: city is 'x'"],
    ),
    ("at = null", ["at = null is false: at is 2021-07-09T18:30:11+00:00"]),
    ("tags = null", ["tags = null is false: tags is not null"]),
    ("ok = FALSE", ["ok = FALSE is false: ok is true"]),
    ("delay = 12", []),
]


@pytest.mark.parametrize(("text", "reasons"), REASONS)
def test_reasons_name_the_comparisons_to_blame(text: str, reasons: list[str]) -> None:
    fields = {"delay": "int", "carrier": ["null", "string"], "city": "string", "at": MILLIS}
    fields |= {"tags": {"type": "array", "items": "long"}, "ok": "boolean"}
    payload = {"delay": 12, "carrier": None, "city": "x", "at": timestamp(), "tags": [1]}
    payload |= {"ok": True}
    expression = check_filter(text, schema_of(fields))
    found = explain(expression, payload)
    assert found == reasons
    assert (found == []) is (evaluate(expression, payload) is True)


def test_a_reason_is_one_short_line() -> None:
    expression = check_filter("a = 'x\ny'", schema_of({"a": "string"}))
    (reason,) = explain(expression, {"a": "long\n" * 1000})
    assert "\n" not in reason
    assert len(reason) < 200


def test_an_unchecked_expression_is_not_evaluated() -> None:
    with pytest.raises(UsageError, match="check_filter"):
        evaluate(parse_filter("a = 1"), {"a": 1})


def test_compiled_filters_answer_with_booleans() -> None:
    schema = schema_of({"a": "string"})
    body = b"\x02b"
    for text in ("a LIKE 'b'", "a = 'b'", "a != null", "a LIKE 'b' OR a = 'c'"):
        assert compile_filter(text, schema)(body) is True
        assert compile_filter(f"NOT ({text})", schema)(body) is False


def test_times_that_a_type_cannot_hold_are_cut_off_as_the_codec_does() -> None:
    moment = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert judge({"x": MILLIS}, {"x": moment}, "x = 1969-12-31T23:59:59.999Z") is True
    later = timestamp(5999) + timedelta(microseconds=1)
    assert judge({"x": MILLIS}, {"x": later}, "x = 2021-07-09T18:30:11.006Z") is True
