"""What a definition file may cost: limits where input enters, and work that grows with it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from platform_events.errors import DefinitionsError
from platform_events.files.document import MAX_PROBLEMS, Mark, Node, Report
from platform_events.files.event_file import read_event
from platform_events.files.loader import read_definitions
from platform_events.files.schema_source import parse_schema
from platform_events.files.yaml_document import read_yaml
from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder
from tests.files.test_definition_fuzz import Memory
from tests.growth import CountedText, assert_grows_linearly

if TYPE_CHECKING:
    from collections.abc import Callable


def field(name: str, avro: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": avro, **more}


def record(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def problems(*fields: dict[str, Any]) -> list[str]:
    with pytest.raises(DefinitionsError) as refusal:
        parse_schema(record("A__e", *fields))
    return [str(problem) for problem in refusal.value.problems]


def test_reading_ends_after_a_number_of_problems() -> None:
    found = problems(*(field(f"f{index}", f"Unknown{index}") for index in range(400)))
    assert len(found) == MAX_PROBLEMS + 1
    assert "fields[99].type: 'Unknown99' is not a type" in found[MAX_PROBLEMS - 1]
    assert found[-1].endswith("fields[100].type: reading ends after 100 problems; mend those first")


@pytest.mark.parametrize(
    "text",
    [
        "event: A__e\nfields:\n" + "- {name: f, type: Unknown}\n" * 300,
        "event: A__e\nfields: []\n" + "label: x\n" * 300,
        "event: A__e\navro: a.avsc\n",
    ],
)
def test_one_file_of_many_problems_leaves_the_others(text: str) -> None:
    fields = [field("f", "Unknown")] * 300
    files = {
        "A__e.yaml": text.encode(),
        "a.avsc": json.dumps(record("A__e", *fields)).encode(),
        "B__e.yaml": b"event: B__e\nfields: 3\n",
    }
    with pytest.raises(DefinitionsError) as refusal:
        read_definitions(Memory(files))
    counts = Counter(problem.file for problem in refusal.value.problems)
    assert sorted(counts.values()) == [1, MAX_PROBLEMS + 1]
    assert counts["schemas/B__e.yaml"] == 1


def test_a_channel_of_many_problems_is_told_as_far_as_it_was_read() -> None:
    channel = "channel: C__chn\nmembers:\n" + "- event: X__e\n" * 300
    files = {"A__e.yaml": b"event: A__e\nfields: []\n", "channels/C__chn.yaml": channel.encode()}
    with pytest.raises(DefinitionsError) as refusal:
        read_definitions(Memory(files))
    assert len(refusal.value.problems) == MAX_PROBLEMS + 1


def node(value: Any) -> Node:
    """Make a document of JSON-like values, all in one place."""
    if isinstance(value, dict):
        return Node({key: node(item) for key, item in value.items()}, Mark(1, 1))
    if isinstance(value, list):
        return Node(tuple(map(node, value)), Mark(1, 1))
    return Node(value, Mark(1, 1))


def symbols(size: int) -> list[str]:
    return [CountedText(f"S{index}") for index in range(size)]


def enum(size: int) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": symbols(size)}


GROWING: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "symbols": lambda size: [field("a", enum(size))],
    "defaults of symbols": lambda size: [
        field("a", enum(size)),
        field("b", {"type": "array", "items": "E"}, default=symbols(size)),
    ],
    "enums by name": lambda size: [
        field("a", enum(size)),
        *(field(f"f{index}", "E", default=f"S{size - 1}") for index in range(size)),
    ],
    "records": lambda size: [
        field(f"f{index}", record(f"R{index}", field("a", "int"))) for index in range(size)
    ],
    "attributes": lambda size: [field("a", "int", **{f"x-{index}": 1 for index in range(size)})],
}


@pytest.mark.parametrize("write", GROWING.values(), ids=GROWING)
def test_reading_grows_with_the_definition(write: Callable[[int], list[dict[str, Any]]]) -> None:
    def prepare(size: int) -> Callable[[], object]:
        root = node({"event": "A__e", "fields": write(size)})

        def read() -> None:
            report = Report("f")
            assert read_event(root, report, lambda _: None), report.problems

        return read

    assert_grows_linearly(prepare)


def test_an_event_of_many_symbols_grows_with_its_items() -> None:
    def prepare(size: int) -> Callable[[], object]:
        array = {"type": "array", "items": enum(10 * size)}
        encoder = PayloadEncoder(record("A", field("a", array)))
        payload = {"a": symbols(10 * size)}
        return lambda: encoder.encode(payload)

    assert_grows_linearly(prepare)


def nested(levels: int, **leaf: Any) -> dict[str, Any]:
    inner = field("x", "int", **leaf)
    for level in range(levels):
        inner = field("f", record(f"R{level}", inner), optional=True)
    return inner


def test_nested_optional_records_are_read_again_up_to_the_limit() -> None:
    for levels in (25, 30):
        report = Report("f")
        root = read_yaml(json.dumps({"event": "A__e", "fields": [nested(levels)]}), report)
        assert root is not None
        event = read_event(root, report, lambda _: None)
        assert event is not None, report.problems
        assert parse_schema(event.schema.text) == event.schema
        PayloadDecoder(event.schema.parsed)


@pytest.mark.parametrize("kind", ["array", "map"])
def test_types_have_a_limit_of_levels_which_is_told_at_its_place(kind: str) -> None:
    part = {"array": "items", "map": "values"}[kind]
    avro: Any = "int"
    for _ in range(62):
        avro = {"type": kind, part: avro}
    assert parse_schema(record("A__e", field("a", avro)))
    (problem,) = problems(field("a", {"type": kind, part: avro}))
    assert problem.endswith(f"type{f'.{part}' * 63}: types are nested deeper than 64 levels")


def doubling(levels: int) -> list[dict[str, Any]]:
    fields = [field("f0", record("R0", field("a", "int", default=1)), default={})]
    for level in range(1, levels):
        below = f"R{level - 1}"
        pair = (field("a", below, default={}), field("b", below, default={}))
        fields.append(field(f"f{level}", record(f"R{level}", *pair), default={}))
    return fields


def test_defaults_of_defaults_have_a_limit() -> None:
    schema = parse_schema(record("A__e", *doubling(12)))
    assert len(PayloadEncoder(schema.parsed).encode({})) < 10_000
    (*_, problem) = problems(*doubling(40))
    assert "the default stands for" in problem
    assert problem.endswith("leaves out; at most 10,000 are allowed")
