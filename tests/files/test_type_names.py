"""Names of types mean the same to files, payloads, filters, fastavro and Apache Avro."""

from __future__ import annotations

import json
from typing import Any

import fastavro
import pytest
from avro.errors import AvroException
from avro.name import Names
from avro.schema import make_avsc_object
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_events.definitions.compatibility import find_changes
from platform_events.errors import DefinitionsError
from platform_events.files.schema_source import parse_schema
from platform_events.filters import compile_filter
from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder
from platform_events.payloads.types import Array, Map, Record, Union, parse_record

_NAMES = st.sampled_from(["A", "B", "C", "n.A", "n.B", "n.m.A", "m.C"])
_NAMESPACES = st.sampled_from([None, None, "", "n", "n.m", "m"])
_REFERENCES = st.sampled_from(["A", "B", "C", "n.A", "n.B", "n.m.A", "m.C", "string", "n.string"])


def _named(draw: st.DrawFn, kind: str, name: str, **more: Any) -> dict[str, Any]:
    avro = {"type": kind, "name": name, **more}
    namespace = draw(_NAMESPACES)
    return avro if namespace is None else avro | {"namespace": namespace}


@st.composite
def _types(draw: st.DrawFn, depth: int) -> Any:
    kinds = ["reference", "reference", "enum", "fixed"]
    if depth:
        kinds += ["record", "record", "array", "map", "union"]
    match draw(st.sampled_from(kinds)):
        case "reference":
            return draw(_REFERENCES)
        case "enum":
            symbols = draw(st.lists(st.sampled_from("XYZ"), min_size=1, unique=True))
            return _named(draw, "enum", draw(_NAMES), symbols=symbols)
        case "fixed":
            return _named(draw, "fixed", draw(_NAMES), size=draw(st.integers(1, 3)))
        case "array":
            return {"type": "array", "items": draw(_types(depth - 1))}
        case "map":
            return {"type": "map", "values": draw(_types(depth - 1))}
        case "union":
            return ["null", draw(_types(0))]
    return draw(_records(draw(_NAMES), depth - 1))


@st.composite
def _records(draw: st.DrawFn, name: str, depth: int) -> dict[str, Any]:
    types = draw(st.lists(_types(depth), min_size=1, max_size=4))
    fields = [{"name": f"f{index}", "type": each} for index, each in enumerate(types)]
    return _named(draw, "record", name, fields=fields)


SCHEMAS = st.sampled_from(["A__e", "n.A__e", "A"]).flatmap(lambda name: _records(name, 3))


def _ours(avro_type: Any) -> Any:
    match avro_type:
        case Record(name=name, fields=fields):
            return ("record", name, [(each.name, _ours(each.type)) for each in fields])
        case Array(items=part) | Map(values=part):
            return _ours(part)
        case Union(branches=branches):
            return [_ours(branch) for branch in branches]
    return (avro_type.kind, avro_type.name or None, avro_type.symbols or avro_type.size or None)


def _moved(avro: Any) -> Any:
    """Return a schema with the root of all namespaces moved to `root`.

    Apache's library for Python takes the null namespace for that of the record around it.
    """
    match avro:
        case str():
            return f"root.{avro}" if "." in avro else avro
        case list():
            return [_moved(branch) for branch in avro]
    moved = {**avro, "type": avro["type"]}
    for key in ("items", "values"):
        if key in avro:
            moved[key] = _moved(avro[key])
    if "fields" in avro:
        moved["fields"] = [{**each, "type": _moved(each["type"])} for each in avro["fields"]]
    if "name" in avro:
        moved["name"] = _moved(avro["name"])
    if "namespace" in avro:
        moved["namespace"] = f"root.{avro['namespace']}".rstrip(".")
    return moved


def _apache(schema: Any, around: tuple[str, ...] = ()) -> Any:
    match schema.type:
        case "record":
            name = schema.fullname.removeprefix("root.")
            if name in around:
                raise ValueError("no type here may contain itself")
            inner = (*around, name)
            fields = [(each.name, _apache(each.type, inner)) for each in schema.fields]
            return ("record", name, fields)
        case "array":
            return _apache(schema.items, around)
        case "map":
            return _apache(schema.values, around)
        case "union":
            return [_apache(branch, around) for branch in schema.schemas]
        case "enum":
            return ("enum", schema.fullname.removeprefix("root."), tuple(schema.symbols))
        case "fixed":
            return ("fixed", schema.fullname.removeprefix("root."), schema.size)
    return (schema.type, None, None)


def _outcome(read: Any) -> Any:
    """Return a tree of full names, None if the schema is refused."""
    try:
        return read()
    except (ValueError, AvroException, DefinitionsError):
        return None


@given(SCHEMAS)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_all_readers_give_a_name_the_same_meaning(avro: dict[str, Any]) -> None:
    right = _outcome(lambda: _apache(make_avsc_object(_moved(avro), Names("root"))))
    assert _outcome(lambda: _ours(parse_record(avro))) == right
    assert _outcome(lambda: _ours(parse_record(json.loads(parse_schema(avro).text)))) == right
    if right is None:
        return
    schema = parse_schema(avro)
    assert _ours(parse_record(fastavro.parse_schema(avro))) == right
    assert _ours(parse_record(schema.parsed)) == right
    assert schema == parse_schema(schema.text)
    assert find_changes(schema, schema) == []


def _record(name: str, *fields: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": field, "type": avro} for field, avro in fields],
        **more,
    }


def test_a_filter_reads_the_field_of_the_type_that_is_meant() -> None:
    inner = _record("X", ("meant", "R"), namespace="")
    swapped = _record("R", ("y", "string"), ("x", "string"))
    schema = parse_schema(
        _record(
            "A__e",
            ("first", _record("R", ("x", "string"), ("y", "string"))),
            ("outer", _record("Outer", ("other", swapped), ("inner", inner), namespace="n")),
        )
    )
    payload = {
        "first": {"x": "1", "y": "2"},
        "outer": {"other": {"x": "3", "y": "4"}, "inner": {"meant": {"x": "5", "y": "6"}}},
    }
    body = PayloadEncoder(schema.parsed).encode(payload)
    assert PayloadDecoder(schema.parsed).decode(body) == payload
    assert compile_filter("outer.inner.meant.x = '5'", schema)(body)
    assert compile_filter("outer.other.x = '3'", schema)(body)


@pytest.mark.parametrize("reader", [parse_record, lambda avro: parse_schema(avro).parsed])
@pytest.mark.parametrize(
    "avro",
    [
        pytest.param(
            _record("A__e", ("a", _record("R", ("x", "int"))), ("b", _record("n.B", ("c", "R")))),
            id="never looked for in the null namespace",
        ),
        pytest.param(
            _record("A__e", ("a", _record("n.R", ("x", "int"))), ("b", "R")),
            id="nor in that of a type beside",
        ),
        pytest.param(
            _record(
                "n.A__e", ("a", _record("R", ("x", "int"))), ("b", _record("n.m.B", ("c", "R")))
            ),
            id="nor in one further out",
        ),
        pytest.param(
            _record("A__e", ("a", {"type": "fixed", "name": "n.string", "size": 1})),
            id="primitive names are taken everywhere",
        ),
    ],
)
def test_a_name_is_looked_for_in_one_namespace(avro: dict[str, Any], reader: Any) -> None:
    with pytest.raises((ValueError, DefinitionsError)):
        reader(avro)


def test_types_of_the_null_namespace_within_another_are_compared() -> None:
    schema = parse_schema(
        _record(
            "n.A__e",
            ("a", {"type": "fixed", "name": "F", "namespace": "", "size": 1}),
            ("b", {"type": "fixed", "name": "F", "size": 1}),
        )
    )
    assert find_changes(schema, schema) == []
