"""The compiled filter against the library's decoder: any schema, any payload, damaged bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from platform_events.definitions.schema import Schema
from platform_events.filters import FilterError, check_filter, compile_filter, evaluate
from platform_events.payloads.codec import DecodeError, PayloadDecoder, PayloadEncoder
from tests.filters.filter_samples import ADDRESS, schema_of
from tests.payloads.expectations import kind_of
from tests.payloads.payload_strategies import (
    PRIMITIVES,
    Names,
    is_ambiguous,
    leaf_schemas,
    schemas_and_payloads,
    values,
)

COMPARABLE = frozenset({*PRIMITIVES, "enum", "uuid", "date", "decimal"}) - {"bytes"}


@given(schemas_and_payloads(min_size=1))
def test_any_body_is_walked_to_its_end(case: tuple[dict[str, Any], Any]) -> None:
    avro, payload = case
    assume(not is_ambiguous(avro))
    schema = Schema.from_normal(avro)
    body = PayloadEncoder(schema.parsed).encode(payload)
    decoded = PayloadDecoder(schema.parsed).decode(body)
    for name, value in decoded.items():
        passes = compile_filter(f"{name} = null", schema)
        assert passes(body) is (value is None)
    passes = compile_filter(f"{name} != null", schema)
    assert passes(body) is (value is not None)
    with pytest.raises(DecodeError, match="1 bytes are left over"):
        passes(body + b"\0")
    for end in range(0, len(body), 1 + len(body) // 8):
        with pytest.raises(DecodeError):
            passes(body[:end])


def literal_of(schema: Any, value: Any) -> str:
    """Write a value of a field as a literal of its type."""
    match kind_of(schema):
        case "boolean":
            return str(value).upper()
        case "date":
            return str(value.isoformat())
        case "int" | "long":
            return str(value)
        case "float" | "double" | "decimal":
            return str(value).replace("inf", "1e38").replace("nan", "0").lower()
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


@st.composite
def comparisons(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    leaf = draw(leaf_schemas(Names()).filter(lambda leaf: kind_of(leaf) in COMPARABLE))
    found = draw(st.lists(values(leaf), min_size=1, max_size=4))
    operators = ["=", "!="]
    if kind_of(leaf) != "boolean":
        operators += ["IN", "NOT IN"]
    if kind_of(leaf) not in {"boolean", "enum"}:
        operators += ["<", "<=", ">", ">="]
    operator = draw(st.sampled_from(operators))
    literals = [literal_of(leaf, value) for value in found]
    right = f"({', '.join(literals)})" if operator.endswith("IN") else literals[0]
    fields = {"a": "string", "b": ["null", leaf], "c": "long"}
    payloads = [{"a": "x", "b": value, "c": -1} for value in [None, *found, draw(values(leaf))]]
    return fields, payloads, f"b {operator} {right}"


@given(comparisons())
def test_compiled_and_evaluated_agree(case: tuple[dict[str, Any], list[Any], str]) -> None:
    fields, payloads, text = case
    schema = schema_of(fields)
    encode, decode = PayloadEncoder(schema.parsed).encode, PayloadDecoder(schema.parsed).decode
    expression = check_filter(text, schema)
    passes = compile_filter(text, schema)
    fails = compile_filter(f"NOT {text}", schema)
    for payload in payloads:
        body = encode(payload)
        verdict = evaluate(expression, decode(body))
        assert evaluate(expression, payload) is verdict
        assert passes(body) is (verdict is True)
        assert fails(body) is (verdict is False)


LONG = {"a": "long"}
TEXT = {"a": "string"}
STATUS = {"type": "enum", "name": "Status", "symbols": ["A", "B", "C"]}


@pytest.mark.parametrize(
    ("fields", "body", "reason"),
    [
        (LONG, b"", "end within a value"),
        (LONG, b"\x80", "end within a value"),
        (LONG, b"\x80" * 10 + b"\0", "more than 64 bits"),
        (LONG, b"\0\0\0", "2 bytes are left over"),
        (TEXT, b"\x01", "a length is negative"),
        (TEXT, b"\x06ab", "end within a value"),
        (TEXT, b"\x02\xff", "not valid UTF-8"),
        (TEXT, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "end within a value"),
        ({"a": "double"}, b"\0" * 7, "end within a value"),
        ({"a": ["null", "long"]}, b"\x04", "branch or symbol is not there"),
        ({"a": ["null", "long"]}, b"\x01", "branch or symbol is not there"),
        ({"a": STATUS}, b"\x06", "branch or symbol is not there"),
        ({"a": "boolean", "b": STATUS}, b"\0\x06", "branch or symbol is not there"),
        ({"a": "boolean", "b": "string"}, b"\0\x01", "a length is negative"),
        ({"a": "boolean", "b": "long"}, b"\0" + b"\x80" * 10 + b"\0", "more than 64 bits"),
        ({"a": "boolean", "b": {"type": "array", "items": "long"}}, b"\0\x02", "end within"),
        ({"a": "boolean", "b": {"type": "map", "values": "long"}}, b"\0\x02\x01\0", "negative"),
    ],
)
def test_damaged_bodies_are_refused(fields: dict[str, Any], body: bytes, reason: str) -> None:
    text = {"long": "a = 1", "string": "a = 'x'"}.get(str(fields["a"]), "a != null")
    passes = compile_filter(text, schema_of(fields))
    with pytest.raises(DecodeError, match=reason):
        passes(body)


@pytest.mark.parametrize(
    "items", ["long", "float", {"type": "fixed", "name": "Four", "size": 4}, "string"]
)
def test_a_count_of_items_that_are_not_there_ends_at_once(items: Any) -> None:
    fields = {"a": ["null", "long"], "b": {"type": "array", "items": items}}
    count = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    with pytest.raises(DecodeError, match="end within a value"):
        compile_filter("a = null", schema_of(fields))(b"\0" + count + b"\0")


def test_blocks_may_tell_their_size() -> None:
    # A negative count, the block's bytes, the items (Avro specification 1.12, Arrays).
    fields = {"a": {"type": "array", "items": "long"}, "b": "long"}
    body = b"\x03\x06\x02\x80\x01" + b"\0" + b"\x0a"
    assert compile_filter("b = 5", schema_of(fields))(body) is True


NESTED = schema_of(
    {
        "a": ["null", ADDRESS],
        "b": {"type": "array", "items": {"type": "map", "values": ["null", "string"]}},
        "c": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
        "d": STATUS,
        "e": "float",
    }
)
PASSES = compile_filter("a.street = 'x' OR c > 1 OR d = 'A' OR e > 1", NESTED)


@settings(max_examples=200)  # most bodies end early
@given(st.lists(st.sampled_from(b"\0\x01\x02\x04\x06\x7f\x80\xff"), max_size=24).map(bytes))
def test_no_other_error_comes_from_any_bytes(body: bytes) -> None:
    try:
        assert isinstance(PASSES(body), bool)
    except DecodeError as error:
        assert "\n" not in str(error)  # noqa: PT017


def older(fields: dict[str, Any], payload: dict[str, Any], text: str) -> bool:
    """Return whether an event passes that an older schema wrote."""
    schema = schema_of(fields)
    return compile_filter(text, schema)(PayloadEncoder(schema.parsed).encode(payload))


@pytest.mark.parametrize(
    ("fields", "payload", "present", "text", "expected"),
    [
        ({"a": "int"}, {"a": 5}, {"a": "long"}, "a = 5", True),
        ({"a": "int"}, {"a": 5}, {"a": "double"}, "a > 4.5 AND a < 5.5", True),
        ({"a": "long"}, {"a": 5}, {"a": "float"}, "a = 5.5", False),
        ({"a": "float"}, {"a": 0.1}, {"a": "double"}, "a = 0.1", True),
        ({"a": "float"}, {"a": 3e38}, {"a": "double"}, "a < 1e300", True),
        ({"a": "long"}, {"a": 5}, {"a": ["null", "long"]}, "a = 5 AND a != null", True),
        ({"a": "int"}, {"a": 5}, {"a": "int", "b": ["null", "int"]}, "b = null", True),
        ({"a": "int"}, {"a": 5}, {"a": "int", "b": ["null", "int"]}, "b != 1", False),
        ({"a": "int"}, {"a": 5}, {"a": "int", "b": ["null", "int"]}, "NOT b = 1", False),
        ({"a": "int"}, {"a": 5}, {"a": "int", "b": ["null", "int"]}, "a = 5 OR b = 1", True),
        ({"a": "int"}, {"a": 5}, {"b": ["null", "string"]}, "b LIKE '%'", False),
        ({"a": "int"}, {"a": 5}, {"b": ["null", ADDRESS]}, "b.city.name = null", True),
        ({"a": STATUS}, {"a": "A"}, None, "a = 'NEW'", False),
        ({"a": STATUS}, {"a": "A"}, None, "a != 'NEW'", True),
        ({"a": STATUS}, {"a": "A"}, None, "a IN ('NEW', 'a')", True),
    ],
)
def test_bodies_of_an_older_schema_are_judged(
    fields: dict[str, Any], payload: dict[str, Any], present: Any, text: str, expected: bool
) -> None:
    if present is None:
        present = {"a": {**STATUS, "symbols": [*STATUS["symbols"], "NEW"]}}
    check_filter(text, schema_of(present))
    assert older(fields, payload, text) is expected


@pytest.mark.parametrize("text", ["a = 5", "a.b = 5", "a < null", "a ="])
def test_a_type_that_cannot_be_compared_is_refused_when_compiled(text: str) -> None:
    with pytest.raises(FilterError):
        compile_filter(text, schema_of({"a": "string"}))


def test_both_ways_to_name_a_moment_agree() -> None:
    fields = {"CreatedDate": "long", "at": {"type": "long", "logicalType": "timestamp-millis"}}
    payload = {"CreatedDate": 1_000, "at": datetime.fromtimestamp(1, UTC)}
    text = "at = 1970-01-01T00:00:01Z AND CreatedDate = 1970-01-01T00:00:01Z"
    assert older(fields, payload, text) is True
