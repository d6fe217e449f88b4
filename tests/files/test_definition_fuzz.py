"""Whatever a file contains, the loader gives definitions or says what is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_events.definitions.compatibility import find_changes
from platform_events.definitions.model import EventDefinition
from platform_events.definitions.schema import Schema
from platform_events.errors import DefinitionsError
from platform_events.files.loader import read_definitions
from platform_events.files.schema_source import parse_schema
from platform_events.files.sources import FileError
from platform_events.payloads.codec import PayloadEncoder
from tests.files.definition_strategies import TREES, as_yaml, events
from tests.files.test_editor_schema import EVENT

if TYPE_CHECKING:
    from platform_events.definitions.model import Definitions


class Memory:
    """Files that exist only in a test."""

    place = "schemas"

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def names(self) -> list[str]:
        return sorted(name for name in self._files if not name.endswith(".avsc"))

    def show(self, name: str) -> str:
        return f"schemas/{name}"

    def read(self, name: str) -> bytes:
        if name not in self._files:
            raise FileError("there is no such file")
        return self._files[name]


def load(files: dict[str, bytes]) -> Definitions | None:
    """Load, or check what the refusal says."""
    try:
        return read_definitions(Memory(files))
    except DefinitionsError as refusal:
        lines = [str(problem) for problem in refusal.problems]
        assert lines
        assert all(len(line.splitlines()) == 1 for line in lines)
        places = [(problem.file, problem.line or 0) for problem in refusal.problems]
        assert places == sorted(places)
        return None


def encoded(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-16")))
def test_any_bytes(data: bytes) -> None:
    load({"a.yaml": data, "project.yaml": data})


@given(TREES, TREES, TREES)
def test_any_tree(tree: Any, project: Any, avro: Any) -> None:
    files = {"a.yaml": encoded(tree), "b.avsc": encoded(avro), "project.yaml": encoded(project)}
    load({**files, "b.yaml": b"event: B__e\navro: b.avsc\n"})


@given(TREES, TREES, st.sampled_from(["default", "aliases", "doc", "optional", "x-a"]), TREES)
@settings(max_examples=80)
def test_any_field(avro: Any, name: Any, key: str, value: Any) -> None:
    field = {"name": name, "type": avro, key: value}
    load({"a.yaml": encoded({"event": "A__e", "fields": [field]})})
    load({"a.yaml": encoded({"event": "A__e", "fields": [{"name": "a", "type": avro}]})})


def places_in(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts: Any = ()
    if isinstance(tree, dict):
        parts = tree.items()
    elif isinstance(tree, list):
        parts = enumerate(tree)
    return [path, *(place for key, part in parts for place in places_in(part, (*path, key)))]


def with_change(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = list(tree) if isinstance(tree, list) else dict(tree)
    copy[path[0]] = with_change(tree[path[0]], path[1:], value)
    return copy


@given(events(), TREES, st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_a_valid_event_with_one_change(
    document: dict[str, Any], value: Any, data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(places_in(document)))
    changed = with_change(document, place, value)
    found = load({"a.yaml": as_yaml(changed).encode()})
    name = document["event"]
    fields = changed.get("fields") if isinstance(changed, dict) else changed
    record = encoded({"type": "record", "name": name, "fields": fields})
    avro = load({"a.yaml": f"event: {name}\navro: a.avsc\n".encode(), "a.avsc": record})
    for definitions in filter(None, (found, avro)):
        for event in definitions.events.values():
            assert parse_schema(event.schema.text) == event.schema
            assert event.schema.parsed
            assert find_changes(event.schema, event.schema) == []


@given(events())
@settings(max_examples=60)
def test_a_valid_event_is_taken_by_every_reader(document: dict[str, Any]) -> None:
    EVENT.validate(document)
    found = load({"a.yaml": as_yaml(document).encode()})
    assert found is not None
    (event,) = found.events.values()
    schema = event.schema
    assert (event.name, schema.name) == (document["event"], document["event"])
    assert parse_schema(schema.text) == schema
    assert Schema(schema.text, schema.id, schema.name).parsed
    PayloadEncoder(schema.parsed)
    stored = json.loads(json.dumps(event.to_json()))
    assert EventDefinition.from_json(stored, schema) == event


@given(TREES, st.text(max_size=30))
def test_any_schema_source(tree: Any, text: str) -> None:
    for source in (tree, text, {"type": "record", "name": "A", "fields": [tree]}):
        try:
            assert isinstance(source, str | dict)
            parse_schema(source)
        except (DefinitionsError, AssertionError):
            continue


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [" + "x, " * 2_000 + "]\nb: [" + "*a, " * 2_000 + "]",
        "[" * 20_000,
        '{"a": ' * 20_000,
        "? " * 20_000,
        "- " * 20_000,
        "&a " * 5_000,
        ("!" + "a" * 9_000 + " b\n") * 100,
        "%A\n" * 40_000,
        "a: '" + "'' " * 3_000 + "'",
        "\n" * 125_000,
        "a: |\n" + " a\n" * 100_000,
        "- {event: a, fields: [{name: b, type: c}]}\n" * 6_000,
        "fields: [" + "{name: a, type: b, zz: 1}, " * 200 + "]",
    ],
)
def test_hostile_text_ends(text: str) -> None:
    assert load({"a.yaml": text.encode()}) is None
