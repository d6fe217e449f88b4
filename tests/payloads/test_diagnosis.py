"""Encoder and diagnosis judge alike, whatever the payload is, and name the place."""

from __future__ import annotations

import copy
from collections import Counter
from datetime import UTC
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_events.errors import PayloadError
from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder
from platform_events.payloads.diagnosis import explain
from platform_events.payloads.types import parse_record
from tests.payloads.expectations import kind_of
from tests.payloads.payload_strategies import record_schemas, schemas_and_payloads
from tests.payloads.samples import DAY, ID, NAIVE, NOON, NOW, Color, Level

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=4)
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.times()
    | st.uuids()
    | st.decimals(allow_nan=True)
    | st.sampled_from([Color.RED, Level.HIGH, 2**31, 2**63, 2**53 + 1, 1e300, complex(1)])
    | st.sampled_from("ABCD"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from(["field_0", "field_1", "None", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def check_agreement(schema: dict[str, Any], payload: Any) -> None:
    """The encoder and the diagnosis judge alike, and only `PayloadError` comes out."""
    error = explain(parse_record(schema), payload)
    encoder = PayloadEncoder(schema)
    if error is None:
        PayloadDecoder(schema).decode(encoder.encode(payload))
        return
    assert "\n" not in str(error)
    with pytest.raises(PayloadError) as caught:
        encoder.encode(payload)
    assert str(caught.value) == str(error)


@given(record_schemas(), st.data())
@settings(max_examples=50)
def test_encoder_and_diagnosis_agree_on_anything(
    schema: dict[str, Any], data: st.DataObject
) -> None:
    fields = schema["fields"]
    names = [field["name"] for field in fields]
    check_agreement(schema, data.draw(st.fixed_dictionaries(dict.fromkeys(names, JUNK))))
    check_agreement(schema, data.draw(JUNK))


def places(schema: Any, value: Any, path: str, steps: tuple[Any, ...]) -> list[Any]:
    """Every value in a payload as (path, steps to it, schema), not those within unions and maps."""
    found = [(path, steps, schema)]
    match kind_of(schema):
        case "array":
            for index, item in enumerate(value):
                found += places(schema["items"], item, f"{path}[{index}]", (*steps, index))
        case "record":
            types = {field["name"]: field["type"] for field in schema["fields"]}
            for name, item in value.items():
                inner = f"{path}.{name}" if path else name
                found += places(types[name], item, inner, (*steps, name))
    return found


def thaw(value: Any) -> Any:
    """A copy in which everything can be replaced."""
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    if isinstance(value, (dict, MappingProxyType)):
        return {key: thaw(item) for key, item in value.items()}
    return value


def replace(payload: Any, steps: tuple[Any, ...], value: Any) -> Any:
    if not steps:
        return value
    result = copy.copy(payload)
    result[steps[0]] = replace(payload[steps[0]], steps[1:], value)
    return result


WRONG: dict[str, list[Any]] = {
    "boolean": ["false", 0, None],
    "int": [1.0, True, "1", 2**31, None],
    "long": [1.0, True, "1", 2**63, None],
    "float": [True, "1", 1e39, 2**24 + 1],
    "double": [True, "1", 2**53 + 1, Decimal(1)],
    "string": [1, b"a", "\ud800", None],
    "bytes": ["a", 1, None],
    "fixed": [b"", b"0123456789", "a"],
    "enum": ["lower case", 0, None],
    "decimal": [1.5, "1", Decimal("NaN"), 10**18, Decimal(1).scaleb(-30)],
    "uuid": [str(ID), None],
    "date": [NOW, NAIVE, "2024-01-31", 1],
    "time-millis": [NOON.replace(tzinfo=UTC), 1],
    "time-micros": [NOON.replace(tzinfo=UTC), 1],
    "timestamp-millis": [NAIVE, DAY, 1],
    "timestamp-micros": [NAIVE, DAY, 1],
    "local-timestamp-millis": [NOW, DAY, 1],
    "local-timestamp-micros": [NOW, DAY, 1],
    "array": ["ab", {}, None],
    "map": [[], "ab", {1: 1}],
    "record": [[], None, "ab"],
    "union": [complex(1), object()],
}


def at(payload: Any, steps: tuple[Any, ...]) -> Any:
    for step in steps:
        payload = payload[step]
    return payload


@given(schemas_and_payloads())
@settings(max_examples=50)
def test_one_mistake_is_refused_with_its_path(case: tuple[dict[str, Any], Any]) -> None:
    schema, payload = case[0], thaw(case[1])
    encode = PayloadEncoder(schema).encode

    def path_of(mistaken: Any) -> str:
        with pytest.raises(PayloadError) as caught:
            encode(mistaken)
        return caught.value.path

    kinds: Counter[str] = Counter()
    for path, steps, inner in places(schema, payload, "", ()):
        kind = kind_of(inner)
        kinds[kind] += 1
        if kinds[kind] > 2:
            continue
        for wrong in WRONG[kind]:
            expected = f"{path}[1 (int)]" if wrong == {1: 1} else path
            assert path_of(replace(payload, steps, wrong)) == expected
        if kind == "record":
            more = {**at(payload, steps), "unknown": 1}
            assert path_of(replace(payload, steps, more)) == f"{path}.unknown".lstrip(".")

    for field in schema["fields"]:
        less = {name: value for name, value in payload.items() if name != field["name"]}
        if "default" not in field:
            assert path_of(less) == field["name"]
