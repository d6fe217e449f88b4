from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.filters import (
    FilterError,
    check_filter,
    compile_filter,
    filter_fields,
    parse_filter,
)
from platform_events.filters.expression import And, Comparison, Not, Or
from tests.filters.filter_samples import ORDER, schema_of
from tests.growth import assert_grows_linearly

if TYPE_CHECKING:
    from collections.abc import Callable


def shape(expression: object) -> object:
    """Return a tree as nested tuples."""
    match expression:
        case Not(operand=operand):
            return ("not", shape(operand))
        case And(operands=operands):
            return ("and", *map(shape, operands))
        case Or(operands=operands):
            return ("or", *map(shape, operands))
    assert isinstance(expression, Comparison)
    return str(expression)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a=1", "a = 1"),
        (" \n a\t!=\r\n1 ", "a != 1"),
        ("a = 1 OR b = 2 AND c = 3", ("or", "a = 1", ("and", "b = 2", "c = 3"))),
        ("a = 1 AND b = 2 OR c = 3", ("or", ("and", "a = 1", "b = 2"), "c = 3")),
        ("(a = 1 OR b = 2) AND c = 3", ("and", ("or", "a = 1", "b = 2"), "c = 3")),
        ("NOT a = 1 AND b = 2", ("and", ("not", "a = 1"), "b = 2")),
        ("NOT (a = 1 AND b = 2)", ("not", ("and", "a = 1", "b = 2"))),
        ("(NOT(a = 'x')) AND (b > 10.50)", ("and", ("not", "a = 'x'"), "b > 10.50")),
        ("(a=1)AND(b=2)or(c=3)", ("or", ("and", "a = 1", "b = 2"), "c = 3")),
        ("a = 1 AND (b = 2 AND c = 3) AND d = 4", ("and", "a = 1", "b = 2", "c = 3", "d = 4")),
        ("not not a = 1", "a = 1"),
        ("NOT NOT NOT a = 1", ("not", "a = 1")),
        ("((((a = 1))))", "a = 1"),
        ("a nOt iN ( 'x' ,'y' )", "a NOT IN ('x', 'y')"),
        ("a in (1)", "a IN (1)"),
        ("a like '%x_'", "a LIKE '%x_'"),
        ("a.b.c <= -1.5e3", "a.b.c <= -1.5e3"),
        ("android = 1 AND ornate = 2", ("and", "android = 1", "ornate = 2")),
        ("a = null or b != NULL", ("or", "a = null", "b != NULL")),
    ],
)
def test_expressions_are_read_by_precedence(text: str, tree: object) -> None:
    assert shape(parse_filter(text)) == tree


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r"'it\'s'", "it's"),
        (r"'a\\b'", "a\\b"),
        (r"'\"\n\r\t'", '"\n\r\t'),
        (r"'\u00e9\uD83D\uDE00'", "é😀"),
        ("'AND ( OR ) -- é'", "AND ( OR ) -- é"),
        ("''", ""),
        ("'say \"x\"'", 'say "x"'),
    ],
)
def test_text_has_escapes(written: str, value: str) -> None:
    expression = parse_filter(f"a = {written}")
    assert isinstance(expression, Comparison)
    assert expression.literals[0].value == value


def test_the_fields_of_an_expression_are_known() -> None:
    text = "a = 1 AND NOT (b.c IN (1, 2) OR a LIKE 'x') OR d != null"
    assert filter_fields(parse_filter(text)) == {"a", "b.c", "d"}


SYNTAX_ERRORS = [
    ("", "", "is empty"),
    ("  \n", "  \n", "is empty"),
    ("amount", None, "ends where an operator (=, !=, <, <=, >, >=, LIKE, IN or NOT IN)"),
    ("amount =", None, "ends where a value is expected"),
    ("amount = 1 AND", None, "ends where a field is expected"),
    ("(amount = 1", None, "ends where ) is expected"),
    ("amount = 1)", ")", "this ) has no ( before it"),
    ("amount = 1 count = 2", "count", "expected AND, OR or the end here, not 'count'"),
    ("(amount = 1 count = 2)", "count", "expected ), AND or OR here, not 'count'"),
    ("amount <> 1", "<>", "<> is no operator; write !="),
    ("amount == 1", "==", "== is no operator; write ="),
    ("amount =! 1", "=!", "expected an operator"),
    ("amount ! 1", "!", "expected an operator"),
    ("= 1", "=", "expected a field here"),
    ("1 = amount", "1", "begins with a field"),
    ("'x' = note", "'x'", "begins with a field"),
    ("note = other", "other", "'other' is no value"),
    ('note = "x"', '"', "single quotes"),
    ("note = 'x", "'", "no closing '"),
    ("note = 'it's'", "s", "expected AND, OR or the end here, not 's'"),
    ("note IN 'x'", "'x'", "expected ( and a list of values here"),
    ("note IN ()", ")", "expected a value here"),
    ("note IN ('x' 'y')", "'y'", "expected a comma or ) here"),
    ("note IN ('x',)", ")", "expected a value here"),
    ("note NOT LIKE 'x'", "LIKE", "write NOT field LIKE 'text'"),
    ("note NOT = 'x'", "=", "expected IN here"),
    ("note BETWEEN 1 AND 2", "BETWEEN", "expected an operator"),
    ("at > TODAY", "TODAY", "date words such as TODAY are not supported; write the date itself"),
    ("at > last_n_days:5", "last_n_days", "date words such as LAST_N_DAYS"),
    (r"note = 'a\%'", r"\%", "% cannot be escaped: in LIKE it is always a wildcard"),
    (r"note LIKE 'a\_b'", r"\_", "_ cannot be escaped"),
    (r"note = 'a\x'", r"\x", r"\x is no escape; write \\ for a backslash"),
    (r"note = '\u12'", r"\u", r"\u is no escape"),
    (r"note = '\ud800'", r"'\ud800'", "half of a surrogate pair"),
    ("day = 2021-13-01", "2021-13-01", "does not exist"),
    ("day = 2021-02-29", "2021-02-29", "does not exist"),
    ("day = 2021-7-9", "2021-7-9", "is no literal: write a number such as 10.5, 2021-07-09"),
    ("at = 2021-07-09T24:00:00Z", "2021-07-09T24:00:00Z", "does not exist"),
    ("at = 2021-07-09T10:00:00+24:00", "2021-07-09T10:00:00+24:00", "+24:00 is no zone"),
    ("at = 2021-07-09T10:00Z", "2021-07-09T10:00Z", "is no literal"),
    ("opens = 10:60:00", "10:60:00", "does not exist"),
    ("amount = 1e1000", "1e1000", "exponent of more than 3 digits"),
    ("amount = .5", ".5", "is no literal"),
    ("amount = 5AND count = 1", "5AND", "is no literal"),
    ("ä = 1", "ä", "expected a field here, not 'ä'"),
    ("amount = 1; DROP", ";", "expected AND, OR or the end"),
]
CHECK_ERRORS = [
    ("amonut > 1", "amonut", "Order_Placed__e has no field 'amonut'; did you mean amount?"),
    ("Amount > 1", "Amount", "did you mean amount?"),
    ("zzz > 1", "zzz", "its fields are CreatedDate, amount, note"),
    ("address.stret = 'x'", "stret", "address has no field 'stret'; did you mean street?"),
    ("address.city.nam = 'x'", "nam", "address.city has no field 'nam'; did you mean name?"),
    ("note.length = 1", "note", "note is no record: it has no 'length'"),
    ("either.x = 1", "either", "either is no record"),
    ("note = 1", "1", "note is text: compare it with text in single quotes"),
    ("note IN ('a', 1)", "1", "note is text"),
    ("count = '1'", "'1'", "count is a whole number: compare it with a number, such as 10"),
    ("total = '1'", "'1'", "total is a number: compare it with a number, such as 10.5"),
    ("paid = 'true'", "'true'", "paid is a boolean: compare it with TRUE or FALSE"),
    ("paid < TRUE", "<", "< does not go with paid, which is a boolean: use = or !="),
    ("paid IN (TRUE)", "IN", "use = or !="),
    ("count LIKE '1%'", "LIKE", "use =, !=, <, <=, >, >=, IN or NOT IN"),
    ("status < 'PAID'", "<", "which is an enum: use =, !=, IN or NOT IN"),
    ("status LIKE 'P%'", "LIKE", "which is an enum"),
    ("status = 'PIAD'", "'PIAD'", "status has no symbol 'PIAD'; did you mean PAID?"),
    ("status IN ('OPEN', 'zzz')", "'zzz'", "its symbols are OPEN, PAID, Shipped"),
    ("status = OPEN", "OPEN", "'OPEN' is no value"),
    ("status = 1", "1", "compare it with a symbol in single quotes"),
    ("day = '2021-07-09'", "'2021-07-09'", "a date without quotes, such as 2021-07-09"),
    ("day = 2021-07-09T00:00:00Z", "2021-07-09T00:00:00Z", "day is a date"),
    ("at > 2021-07-09", "2021-07-09", "at is a point in time: compare it with a time stamp"),
    ("at > 2021-07-09T10:30:11", "2021-07-09T10:30:11", "with zone"),
    ("wall > 2021-07-09T10:30:11Z", "2021-07-09T10:30:11Z", "without zone"),
    ("opens > 10", "10", "opens is a time of day"),
    ("count > 2021-07-09T10:30:11Z", "2021-07-09T10:30:11Z", "count is a whole number"),
    ("CreatedDate > 2021-07-09", "2021-07-09", "CreatedDate is a whole number"),
    ("note < null", "null", "< does not go with null, which takes only = and !="),
    ("note LIKE null", "null", "LIKE does not go with null"),
    ("note IN ('a', null)", "null", "write note = null OR note IN (...)"),
    ("note NOT IN (null)", "null", "write note != null AND note NOT IN (...)"),
    ("tags = 'x'", "=", "tags is a list: it takes only = null and != null"),
    ("labels != 1", "!=", "labels is a map"),
    ("address IN ('x')", "IN", "address is a record"),
    ("raw = 'x'", "=", "raw is bytes"),
    ("digest LIKE 'x'", "LIKE", "digest is bytes"),
    ("either > 1", ">", "either is of several types"),
    ("ratio = 1e39", "1e39", "'1e39' is outside the range of float"),
    ("amount = 1e309", "1e309", "outside the range of double"),
]


@pytest.mark.parametrize(("text", "place", "message"), SYNTAX_ERRORS + CHECK_ERRORS)
def test_an_error_says_what_is_wrong_and_where(text: str, place: str | None, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        check_filter(text, ORDER)
    error = caught.value
    assert message in str(error)
    assert "\n" not in str(error)
    for name in ("OPERATOR", "FIELD", "VALUE", "RIGHT", "LEFT", "$END", "Token", "COMMA", "OTHER"):
        assert name not in str(error)
    if place is None:
        assert (error.start, error.end) == (len(text), len(text))
    else:
        assert text[error.start : error.end] == place


def test_a_wrong_type_is_no_syntax_error() -> None:
    for text, _, _ in CHECK_ERRORS:
        if " OPEN" not in text:
            parse_filter(text)


@pytest.mark.parametrize(
    ("text", "excerpt"),
    [
        (
            "amount > 10\n  AND note = other\n  AND count = 1",
            "  AND note = other\n             ^~~~~",
        ),
        ("amount >", "amount >\n        ^"),
        ("note\t= \x1b[31m", "note = ?[31m\n       ^"),
    ],
)
def test_the_excerpt_is_text_that_points_at_the_place(text: str, excerpt: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert caught.value.excerpt(text) == excerpt


def test_the_excerpt_of_a_long_line_is_cut_round_the_place() -> None:
    text = "note = 'a' OR " * 50 + "note = other" + " OR note = 'a'" * 50
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    line, marks = caught.value.excerpt(text).split("\n")
    assert len(line) < 100
    assert line.startswith("...")
    assert line.endswith("...")
    assert line[marks.index("^") : marks.index("^") + 5] == "other"
    assert marks.strip() == "^~~~~"


def test_length_and_nesting_have_limits() -> None:
    deepest = "(" * 100 + "count = 1" + ")" * 100
    assert shape(parse_filter(deepest)) == "count = 1"
    with pytest.raises(FilterError, match="nested more than 100 levels") as caught:
        parse_filter(f"({deepest})")
    assert (caught.value.start, caught.value.end) == (100, 101)
    beside = " OR ".join(["(count = 1)"] * 150)
    assert shape(parse_filter(beside)) == ("or", *["count = 1"] * 150)
    longest = "count = 1".ljust(131_072)
    assert shape(parse_filter(longest)) == "count = 1"
    with pytest.raises(FilterError, match="at most 131,072 characters, not 131,073") as caught:
        parse_filter(f"{longest} ")
    assert (caught.value.start, caught.value.end) == (131_072, 131_073)


@pytest.mark.parametrize(
    "text",
    [
        " OR ".join(f"count = {index}" for index in range(3000)),
        f"count IN ({', '.join(map(str, range(3000)))})",
        "NOT " * 12_000 + "count = 1",
        "".join("(count != 1 AND (count > 5 OR " for _ in range(50)) + "count < 9" + "))" * 50,
        "".join("NOT (count = 1 OR (count < 5 AND " for _ in range(50)) + "count < 9" + "))" * 50,
        "".join("count = 1 OR count > 5 AND (" for _ in range(100)) + "count < 9" + ")" * 100,
        "".join("NOT (count = 1 AND NOT (" for _ in range(50)) + "count < 9" + "))" * 50,
        "".join("count = 1 AND NOT (count = 2 OR " for _ in range(100)) + "count < 9" + ")" * 100,
        "".join("NOT (count = 1 OR count > 5 AND " for _ in range(100)) + "count < 9" + ")" * 100,
        "(" * 99 + "count IN (1)" + ")" * 99,
    ],
)
def test_long_and_deep_filters_compile(text: str) -> None:
    check_filter(text, ORDER)
    compile_filter(text, ORDER)


@pytest.mark.parametrize(
    "write",
    [
        lambda size: " OR ".join(f"e = 's{index}'" for index in range(size)),
        lambda size: f"e IN ({', '.join(repr(f'S{index}') for index in range(size))})",
        lambda size: " AND ".join(f"f{index} = 's0'" for index in range(size)),
        lambda size: f"i IN ({', '.join(map(str, range(size)))})",
        lambda size: " OR ".join(f"i = {index} AND e != 'S0'" for index in range(size)),
    ],
)
def test_work_grows_with_the_filter_and_the_schema(write: Callable[[int], str]) -> None:
    def prepare(size: int) -> Callable[[], object]:
        enum = {"type": "enum", "name": "E", "symbols": [f"S{index}" for index in range(size)]}
        schema = schema_of({"e": enum, "i": "int", **{f"f{index}": "E" for index in range(size)}})
        assert schema.parsed
        return lambda: compile_filter(write(size), schema)

    assert_grows_linearly(prepare)


WORDS = st.sampled_from(
    [
        "note", "amount", "address.city", "status", "at", "=", "!=", "<", ">=", "LIKE", "in", "NOT",
        "AND", "or", "(", ")", ",", "'x'", "'%'", "'\\%'", "'", '"', "null", "TRUE", "1", "-1.5e3",
        "2021-07-09", "2021-07-09T10:30:11Z", "10:30:11", "TODAY", ".", "\\", "\n", "é", "\ud800",
    ]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(WORDS, max_size=12).map(" ".join)))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        check_filter(text, ORDER)
    except FilterError as raised:
        error = raised
    else:
        compile_filter(text, ORDER)
        return
    assert 0 <= error.start <= error.end <= len(text)
    assert error.start < error.end or error.start == len(text)
    assert len(error.excerpt(text).split("\n")) == 2
