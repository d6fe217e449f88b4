"""Plans are pure: files, catalog and topics in, changes and refusals out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from platform_events.catalog.plan import (
    Action,
    Change,
    Plan,
    PlanOptions,
    TopicChange,
    TopicFacts,
    make_plan,
    topic_config,
)
from platform_events.catalog.state import CatalogState, Entry
from platform_events.definitions.model import Definitions, EventDefinition
from platform_events.errors import CatalogCorruptError
from platform_events.names import Namespace
from tests.support import KEYED, ORDER, load

ORDER_NAME = "Order_Placed__e"
OPTIONS = PlanOptions(max_message_bytes=1_000_000)
TOPIC = Namespace().topic


@pytest.fixture
def order(tmp_path: Path) -> EventDefinition:
    return load(tmp_path, ORDER).events[ORDER_NAME]


@pytest.fixture
def keyed(tmp_path: Path) -> EventDefinition:
    return load(tmp_path, KEYED).events["Reading_Taken__e"]


def applied(definition: EventDefinition, project: str = "default") -> CatalogState:
    entry = Entry(
        definition.name, project, definition, definition, (definition.schema.id,), ("t1",)
    )
    return CatalogState({definition.name: entry}, {definition.schema.id: definition.schema})


def topic(definition: EventDefinition, **changes: object) -> TopicFacts:
    facts = TopicFacts("t1", definition.partitions, 1, topic_config(definition, OPTIONS))
    return replace(facts, **changes)  # type: ignore[arg-type]


def plan(
    wanted: EventDefinition | None,
    state: CatalogState,
    facts: TopicFacts | None,
    options: PlanOptions = OPTIONS,
) -> Change:
    events = {wanted.name: wanted} if wanted else {}
    name = wanted.name if wanted else next(iter(state.entries))
    made = make_plan(Definitions("default", events), state, {TOPIC(name): facts}, options)
    (change,) = made.changes
    return change


def topic_change(change: Change) -> TopicChange:
    (found,) = change.topics
    return found


def test_a_new_event_is_created_with_all_its_config(order: EventDefinition) -> None:
    change = plan(order, CatalogState(), None)
    assert (change.action, change.kind, change.refusals) == (Action.CREATE, "event", ())
    made = topic_change(change)
    assert (made.topic, made.create, made.partitions) == (TOPIC(ORDER_NAME), True, 1)
    assert made.config["max.message.bytes"] == "1000000"
    assert made.config["message.timestamp.type"] == "LogAppendTime"
    assert made.config["retention.ms"] == str(72 * 3_600_000)
    assert int(made.config["segment.ms"]) < 72 * 3_600_000
    assert change.entry is not None
    assert change.entry.pending
    assert change.entry.active is None


def test_what_is_as_it_should_be_is_left_alone(order: EventDefinition) -> None:
    change = plan(order, applied(order), topic(order))
    assert (change.action, change.entry, change.topics) == (Action.NONE, None, ())


def test_drift_of_the_topic_is_repaired(order: EventDefinition) -> None:
    drifted = topic(order).config | {"retention.ms": "1", "cleanup.policy": "compact"}
    change = plan(order, applied(order), topic(order, config=drifted))
    assert change.action is Action.REPAIR
    assert topic_change(change).config == {"retention.ms": "259200000", "cleanup.policy": "delete"}
    assert any("retention.ms: 1 -> 259200000" in detail for detail in change.details)


def test_config_that_is_not_ours_is_left_alone(order: EventDefinition) -> None:
    other = topic(order).config | {"compression.type": "zstd", "min.insync.replicas": "2"}
    assert plan(order, applied(order), topic(order, config=other)).action is Action.NONE


def test_min_insync_replicas_follows_the_setting(order: EventDefinition) -> None:
    options = replace(OPTIONS, min_insync_replicas=2)
    change = plan(order, applied(order), topic(order), options)
    assert topic_change(change).config == {"min.insync.replicas": "2"}


def test_a_missing_topic_is_made_again_and_said_to_be_empty(order: EventDefinition) -> None:
    change = plan(order, applied(order), None)
    assert (change.action, topic_change(change).create) == (Action.REPAIR, True)
    assert "gone with its events" in change.details[0]


def test_a_re_created_topic_is_recorded(order: EventDefinition) -> None:
    change = plan(order, applied(order), topic(order, topic_id="t2"))
    assert change.action is Action.REPAIR
    assert change.entry is not None
    assert change.entry.topic_ids == ("t1", "t2")


def test_a_break_names_the_field(order: EventDefinition, tmp_path: Path) -> None:
    changed = load(tmp_path, ORDER.replace("type: double, default: 0.0", "type: string"))
    change = plan(changed.events[ORDER_NAME], applied(order), topic(order))
    assert len(change.refusals) == 1
    assert "amount" in change.refusals[0]
    assert "new name" in change.refusals[0]


def test_an_addition_is_an_update_with_a_new_schema(order: EventDefinition, tmp_path: Path) -> None:
    more = load(tmp_path, ORDER + "  - {name: city, type: string, optional: true}\n")
    change = plan(more.events[ORDER_NAME], applied(order), topic(order))
    assert (change.action, change.refusals, change.topics) == (Action.UPDATE, (), ())
    assert change.entry is not None
    assert change.entry.wanted == more.events[ORDER_NAME]
    assert change.entry.active == order


def test_a_dropped_field_comes_back_only_as_it_was(order: EventDefinition, tmp_path: Path) -> None:
    without = load(tmp_path, ORDER.replace("  - {name: note, type: string, optional: true}\n", ""))
    state = applied(without.events[ORDER_NAME])
    state.schemas[order.schema.id] = order.schema
    entry = state.entries[ORDER_NAME]
    compared = (order.schema.id, *entry.schema_ids)
    state.entries[ORDER_NAME] = replace(entry, schema_ids=compared, compared=compared)
    assert plan(order, state, topic(order)).refusals == ()
    other = load(tmp_path, ORDER.replace("name: note, type: string", "name: note, type: long"))
    assert "note" in plan(other.events[ORDER_NAME], state, topic(order)).refusals[0]


def test_partitions_grow_only_when_allowed(keyed: EventDefinition) -> None:
    more = replace(keyed, partitions=6)
    refused = plan(more, applied(keyed), topic(keyed))
    assert "--allow-partition-growth" in refused.refusals[0]
    assert "order" in refused.refusals[0]
    allowed = plan(more, applied(keyed), topic(keyed), replace(OPTIONS, allow_growth=True))
    assert (allowed.refusals, topic_change(allowed).grow_to) == ((), 6)


def test_partitions_never_shrink(keyed: EventDefinition) -> None:
    fewer = replace(keyed, partitions=2)
    change = plan(fewer, applied(keyed), topic(keyed), replace(OPTIONS, allow_growth=True))
    assert "cannot remove partitions" in change.refusals[0]


def test_the_key_of_several_partitions_cannot_change(keyed: EventDefinition) -> None:
    other = replace(keyed, partition_key="value")
    assert "lose their order" in plan(other, applied(keyed), topic(keyed)).refusals[0]


def test_another_project_s_event_is_a_conflict(order: EventDefinition) -> None:
    change = plan(order, applied(order, project="billing"), topic(order))
    assert "'billing' owns it" in change.refusals[0]


def test_another_project_s_events_are_not_seen(order: EventDefinition) -> None:
    made = make_plan(Definitions("default", {}), applied(order, "billing"), {}, OPTIONS)
    assert made.changes == ()


def test_nothing_is_deleted_without_pruning(order: EventDefinition) -> None:
    kept = plan(None, applied(order), topic(order))
    assert (kept.action, kept.topics) == (Action.KEEP, ())
    pruned = plan(None, applied(order), topic(order), replace(OPTIONS, prune=True))
    assert (pruned.action, topic_change(pruned).delete) == (Action.DELETE, True)
    assert pruned.entry is not None
    assert pruned.entry.wanted is None
    assert Plan("default", (kept,)).effective == ()


@pytest.mark.parametrize("stopped_after", ["catalog", "topic"])
def test_a_creation_that_was_interrupted_is_finished(
    order: EventDefinition, stopped_after: str
) -> None:
    state = applied(order)
    state.entries[ORDER_NAME] = replace(state.entries[ORDER_NAME], active=None, topic_ids=())
    change = plan(order, state, topic(order) if stopped_after == "topic" else None)
    assert change.action is Action.CREATE
    assert bool(change.topics) == (stopped_after == "catalog")
    assert change.entry is not None


def test_a_deletion_that_was_interrupted_is_finished(order: EventDefinition) -> None:
    state = applied(order)
    state.entries[ORDER_NAME] = replace(state.entries[ORDER_NAME], wanted=None)
    change = plan(None, state, None)
    assert (change.action, change.topics) == (Action.DELETE, ())


def test_an_interrupted_change_is_judged_by_what_is_active(
    order: EventDefinition, tmp_path: Path
) -> None:
    more = load(tmp_path, ORDER + "  - {name: city, type: string, optional: true}\n")
    state = applied(order)
    entry = replace(state.entries[ORDER_NAME], wanted=more.events[ORDER_NAME])
    state.entries[ORDER_NAME] = entry
    back = plan(order, state, topic(order))
    assert (back.refusals, back.action) == ((), Action.REPAIR)


def test_the_catalog_s_records_fold_back_to_the_same_state(
    order: EventDefinition, keyed: EventDefinition
) -> None:
    entries = [
        Entry(order.name, "default", order, None, (order.schema.id,), ()),
        Entry(keyed.name, "p", None, keyed, (keyed.schema.id,), ("t1", "t2")),
    ]
    state = CatalogState()
    for key, value in CatalogState().records(entries).items():
        state.fold(key.encode(), value, "catalog@0")
    assert state.entries == {entry.name: entry for entry in entries}
    assert state.schemas == {d.schema.id: d.schema for d in (order, keyed)}


@pytest.mark.parametrize(
    ("value", "message"),
    [(b"junk", "cannot be read"), (None, "cannot be read"), (b'{"version": 99}', "newer version")],
)
def test_a_catalog_record_of_other_software_condemns_only_itself(
    order: EventDefinition, value: bytes | None, message: str
) -> None:
    state = applied(order)
    state.fold(b"event/X__e", value, "catalog@7")
    broken = state.entries["X__e"]
    assert message in broken.unreadable
    assert "catalog@7" in broken.unreadable
    assert "apply the definition of X__e again" in broken.unreadable
    assert state.entries[ORDER_NAME] == applied(order).entries[ORDER_NAME]
    state.fold(b"schema/AAAAAAAAAAAAAAAAAAAAAA", value, "catalog@8")
    with pytest.raises(CatalogCorruptError, match=message):
        state.schemas["AAAAAAAAAAAAAAAAAAAAAA"]
    assert plan(order, state, topic(order)).action is Action.NONE


def test_fence_checks_are_passed_over() -> None:
    state = CatalogState()
    state.fold(b"fence", b"{}", "catalog@0")
    assert (len(state.entries), len(state.schemas)) == (0, 0)
