"""What was accepted is readable: records fold back, and one that does not condemns itself only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_events.catalog.plan import (
    Action,
    Change,
    PlanOptions,
    TopicFacts,
    make_plan,
    topic_config,
)
from platform_events.catalog.state import CatalogState, Entry, Feed, Feeding
from platform_events.definitions.model import (
    ChannelDefinition,
    Definitions,
    EventDefinition,
    Member,
)
from platform_events.definitions.schema import Schema
from platform_events.definitions.storage import MAX_STORED
from platform_events.errors import CatalogCorruptError
from platform_events.files.document import Report
from platform_events.files.event_file import read_event
from platform_events.files.json_document import read_json
from platform_events.files.yaml_document import read_yaml
from platform_events.names import Namespace
from tests.files.definition_strategies import TREES, as_yaml, events
from tests.support import KEYED, ORDER, load

OPTIONS = PlanOptions(max_message_bytes=MAX_STORED)
TOPIC = Namespace().topic


def check(document: str, avsc: str | None = None) -> EventDefinition | None:
    """Return the event that a file and its .avsc file define; None if they are refused."""
    report, own = Report("a.yaml"), Report("a.avsc")
    root = read_yaml(document, report)
    node = read_json(avsc, own) if avsc is not None else None
    if root is None:
        return None
    event = read_event(root, report, lambda _: (node, own) if node is not None else None)
    return None if report.problems or own.problems else event


def with_avsc(fields: list[Any], **more: Any) -> EventDefinition | None:
    record = {"type": "record", "name": "A__e", "fields": fields, **more}
    return check("event: A__e\navro: a.avsc\n", json.dumps(record, ensure_ascii=False))


def fold(records: dict[str, bytes], into: CatalogState | None = None) -> CatalogState:
    state = into if into is not None else CatalogState()
    for number, (key, value) in enumerate(records.items()):
        state.fold(key.encode(), value, f"catalog@{number}")
    return state


def active(definition: EventDefinition, project: str = "default") -> Entry:
    return Entry(definition.name, project, definition, definition, (definition.schema.id,), ("t1",))


def plan(state: CatalogState, *wanted: EventDefinition, prune: bool = False) -> Change:
    facts = {
        TOPIC(one.name): TopicFacts("t1", one.partitions, 1, topic_config(one, OPTIONS))
        for one in wanted
    }
    desired = Definitions("default", {one.name: one for one in wanted})
    (change,) = make_plan(desired, state, facts, replace(OPTIONS, prune=prune)).changes
    return change


def assert_it_survives(definition: EventDefinition) -> None:
    records = CatalogState().records([active(definition)])
    for value in records.values():
        assert len(value) <= MAX_STORED + 64
        json.loads(value, parse_constant=pytest.fail)
    state = fold(records)
    assert state.entries[definition.name] == active(definition)
    assert state.schemas[definition.schema.id].text == definition.schema.text
    assert state.schemas[definition.schema.id].parsed == definition.schema.parsed
    assert plan(state, definition).action is Action.NONE
    assert state.records([active(definition)]).keys() == {f"event/{definition.name}"}
    pruned = plan(state, prune=True)
    assert (pruned.action, pruned.refusals) == (Action.DELETE, ())
    assert pruned.entry is not None
    gone = fold(state.records([replace(pruned.entry, active=None, schema_ids=())]), state)
    assert gone.entries[definition.name].active is None
    assert gone.schemas[definition.schema.id] == definition.schema


@given(events())
@settings(max_examples=150)
def test_an_event_that_check_accepts_survives(document: dict[str, Any]) -> None:
    definition = check(as_yaml(document))
    assert definition is not None
    assert_it_survives(definition)


@given(
    events(),
    st.dictionaries(st.text(max_size=8), TREES, max_size=3),
    st.dictionaries(st.text(max_size=8), TREES, max_size=3),
)
@settings(max_examples=150)
def test_an_avro_file_that_check_accepts_survives(
    document: dict[str, Any], record_attributes: dict[str, Any], field_attributes: dict[str, Any]
) -> None:
    fields = [dict(item) for item in document["fields"]]
    for item in fields:
        if item.pop("optional", False):
            item["type"] = ["null", *(t if isinstance(t := item["type"], list) else [t])]
            item["default"] = None
    fields[0] = field_attributes | fields[0]
    avsc = record_attributes | {"type": "record", "name": document["event"], "fields": fields}
    rest = {key: value for key, value in document.items() if key != "fields"}
    definition = check(as_yaml(rest | {"avro": "a.avsc"}), json.dumps(avsc, ensure_ascii=False))
    if definition is not None:
        assert_it_survives(definition)


def nested(levels: int) -> list[Any]:
    fields: list[Any] = [{"name": "x", "type": "int"}]
    for level in range(levels):
        record = {"type": "record", "name": f"R{level}", "fields": fields}
        fields = [{"name": "x", "type": ["null", record], "default": None}]
    return fields


@pytest.mark.parametrize("levels", [20, 22, 23, 24, 25, 30, 31])
def test_what_is_nested_as_deep_as_check_allows_survives(levels: int) -> None:
    as_avsc = with_avsc(nested(levels))
    found = [as_avsc, check(as_yaml({"event": "A__e", "fields": nested(levels)}))]
    for definition in filter(None, found):
        assert_it_survives(definition)
    assert levels > 23 or all(found)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1e400"])
@pytest.mark.parametrize("place", ['"unit": {}', '"unit": [{{"x": {}}}]'])
def test_a_number_that_json_cannot_write_again_is_refused(number: str, place: str) -> None:
    field = f'{{"name": "a", "type": "int", {place.format(number)}}}'
    own = Report("a.avsc")
    assert read_json(f'{{"type": "record", "name": "A__e", "fields": [{field}]}}', own) is None
    (problem,) = own.problems
    assert "is larger than a double can be" in problem.message
    assert problem.column is not None


@pytest.mark.parametrize("letter", ["a", "ä", "\U0001f600", "\n", "\x7f"])
def test_a_schema_as_large_as_a_record_survives_and_a_larger_one_is_refused(letter: str) -> None:
    def documented(size: int) -> EventDefinition | None:
        doc = letter * (size // len(json.dumps(letter, ensure_ascii=False).strip('"').encode()))
        return with_avsc([{"name": "a", "type": "int"}], doc=doc)

    largest = documented(MAX_STORED - 512)
    assert largest is not None
    assert_it_survives(largest)
    assert documented(MAX_STORED) is None


def test_the_limit_of_what_is_stored_is_named() -> None:
    record = {"type": "record", "name": "A__e", "fields": [{"name": "a", "type": "int"}]}
    long = "|\n" + f"  {'x' * 5_000}\n" * 110
    texts = {
        f"event: A__e\ndescription: &text {long}"
        "fields: [{name: a, type: int, doc: *text }]\n": "schema takes 1,1",
        f"event: A__e\navro: a.avsc\ndescription: {long}": "definition takes up to 1,1",
    }
    for text, message in texts.items():
        report, own = Report("a.yaml"), Report("a.avsc")
        root, node = read_yaml(text, report), read_json(json.dumps(record), own)
        assert root is not None
        assert node is not None
        read_event(root, report, lambda _, node=node, own=own: (node, own))  # type: ignore[misc]
        (problem,) = report.problems
        assert message in problem.message
        assert "at most" in problem.message


def test_only_what_is_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order, keyed = load(tmp_path, ORDER, KEYED).events.values()
    records = CatalogState().records([active(order), active(keyed)])
    read: list[str] = []
    original = Schema.from_catalog
    monkeypatch.setattr(
        Schema,
        "from_catalog",
        lambda schema_id, avro: read.append(schema_id) or original(schema_id, avro),
    )
    state = fold(records)
    assert read == []
    for one in (state, state.copy()):
        assert one.entries[order.name].active == order
    assert read == [order.schema.id]


def test_a_copy_can_be_walked_while_the_original_takes_more(tmp_path: Path) -> None:
    order, keyed = load(tmp_path, ORDER, KEYED).events.values()
    state = fold(CatalogState().records([active(order)]))
    copied = state.copy()
    for _ in copied.entries.values():
        fold(state.records([active(keyed)]), state)
    assert set(copied.entries) == {order.name}
    assert set(state.entries) == {order.name, keyed.name}


def newer(value: bytes, *path: str | int, **more: Any) -> bytes:
    """Return a record with keys that this version does not know."""
    document = json.loads(value)
    part = document
    for step in path:
        part = part[step]
    part |= more
    return json.dumps(document).encode()


def test_keys_that_a_later_version_wrote_survive_an_apply_of_this_one(tmp_path: Path) -> None:
    order, _ = load(tmp_path, ORDER, KEYED).events.values()
    state = CatalogState()
    records = state.records([active(order)])
    key = f"event/{order.name}"
    value = newer(records[key], colour="red")
    value = newer(value, "active", priority=1)
    value = newer(value, "wanted", priority=2)
    schema_key = f"schema/{order.schema.id}"
    fold({schema_key: newer(records[schema_key], registered=7), key: value}, state)
    assert state.entries[order.name] == active(order)
    documented = load(tmp_path, ORDER.replace("type: string}", "type: string, doc: Its ID.}"))
    change = plan(state, documented.events[order.name])
    assert change.entry is not None

    begun = state.records([change.entry])
    assert json.loads(begun[schema_key])["registered"] == 7
    document = json.loads(begun[key])
    assert document["colour"] == "red"
    assert (document["active"]["priority"], document["wanted"]["priority"]) == (1, 2)
    done = state.records([replace(change.entry, active=change.entry.wanted)])
    document = json.loads(done[key])
    assert (document["active"]["priority"], document["wanted"]["priority"]) == (2, 2)
    assert fold(done, state).entries[order.name].active == documented.events[order.name]


def test_keys_of_a_channel_s_parts_survive_with_their_event() -> None:
    channel = ChannelDefinition("C__chn", (Member("A__e"), Member("B__e")), 1)
    feeds = tuple(Feed(name, "", 1, "t", (0,)) for name in ("A__e", "B__e"))
    entry = Entry("C__chn", "p", channel, channel, (), ("t",), Feeding(1, feeds))
    state = CatalogState()
    value = newer(state.records([entry])["channel/C__chn"], "feeding", "feeds", 1, speed=3)
    value = newer(value, "active", "members", 1, weight=5)
    fold({"channel/C__chn": newer(value, "wanted", "members", 1, weight=5)}, state)
    assert state.entries["C__chn"] == entry
    fewer = replace(channel, members=channel.members[1:])
    entry = replace(entry, wanted=fewer, active=fewer, feeding=Feeding(2, feeds[1:]))
    document = json.loads(state.records([entry])["channel/C__chn"])
    assert document["feeding"]["feeds"] == [
        {"event": "B__e", "filter": "", "added": 1, "topic_id": "t", "starts": [0], "speed": 3}
    ]
    for part in ("wanted", "active"):
        assert [member["weight"] for member in document[part]["members"]] == [5]


BROKEN = {
    "junk": lambda value: b"junk",
    "half": lambda value: value[: len(value) // 2],
    "newer": lambda value: newer(value, version=2),
    "other kind": lambda value: newer(value, "active", retention_ms="long"),
    "list": lambda value: b"[]",
    "null": lambda value: b"null",
}


@pytest.mark.parametrize("how", BROKEN)
def test_applying_the_definition_writes_an_unreadable_entry_again(how: str, tmp_path: Path) -> None:
    order, keyed = load(tmp_path, ORDER, KEYED).events.values()
    records = CatalogState().records([active(order), active(keyed)])
    key = f"event/{order.name}"
    state = fold(records | {key: BROKEN[how](records[key])})
    assert state.entries[keyed.name] == active(keyed)
    assert state.entries[order.name].unreadable
    change = make_plan(
        Definitions("default", {order.name: order, keyed.name: keyed}), state, {}, OPTIONS
    ).changes[0]
    assert (change.action, change.refusals) == (Action.REPAIR, ())
    assert "write it again" in change.details[0]
    assert change.entry is not None
    repaired = fold(state.records([replace(change.entry, active=order)]), state)
    assert repaired.entries[order.name].active == order
    assert not repaired.entries[order.name].unreadable


def test_an_unreadable_entry_is_still_its_project_s(tmp_path: Path) -> None:
    (order,) = load(tmp_path, ORDER).events.values()
    records = CatalogState().records([active(order, "billing")])
    key = f"event/{order.name}"
    state = fold(records | {key: newer(records[key], version=2)})
    assert "'billing' owns it" in plan(state, order).refusals[0]
    theirs = make_plan(Definitions("billing"), state, {}, OPTIONS).changes
    assert [change.action for change in theirs] == [Action.KEEP]
    pruned = make_plan(Definitions("billing"), state, {}, replace(OPTIONS, prune=True)).changes
    assert [change.action for change in pruned] == [Action.DELETE]
    assert pruned[0].entry is not None
    gone = fold(state.records([pruned[0].entry]), state)
    assert not gone.entries[order.name].unreadable


def test_an_unreadable_schema_is_written_again(tmp_path: Path) -> None:
    (order,) = load(tmp_path, ORDER).events.values()
    key = f"schema/{order.schema.id}"
    state = fold(CatalogState().records([active(order)]) | {key: b"junk"})
    with pytest.raises(CatalogCorruptError, match="apply the definition again"):
        state.schemas[order.schema.id]
    assert order.schema.id in state.entries[order.name].unreadable
    change = plan(state, order)
    assert change.action is Action.REPAIR
    assert change.entry is not None
    repaired = fold(state.records([replace(change.entry, active=order)]), state)
    assert repaired.schemas[order.schema.id] == order.schema
    assert plan(repaired, order).action is Action.NONE


def test_a_name_in_another_case_is_refused(tmp_path: Path) -> None:
    order, _ = load(tmp_path, ORDER, KEYED).events.values()
    state = fold(CatalogState().records([active(order, "billing")]))
    other = replace(order, name="ORDER_Placed__e")
    assert "differs only in case from Order_Placed__e" in plan(state, other).refusals[0]
    state.entries[other.name] = active(other)
    assert plan(state, other).refusals == ()
    channel = ChannelDefinition("Sales__chn", (Member(order.name),), order.retention_ms)
    state.entries["sales__chn"] = Entry("sales__chn", "billing", channel, channel)
    desired = Definitions("billing", {order.name: order}, {channel.name: channel})
    refusals = make_plan(desired, state, {}, OPTIONS).refusals
    assert any("Sales__chn: differs only in case from sales__chn" in one for one in refusals)
