"""Which version of a schema may follow which, as the plan judges it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from platform_events.catalog.plan import (
    Action,
    Change,
    PlanOptions,
    TopicFacts,
    make_plan,
    topic_config,
)
from platform_events.catalog.schema_plan import activate_event
from platform_events.catalog.state import CatalogState
from platform_events.definitions.changes import COMPATIBILITIES, PROTECTED
from platform_events.definitions.model import Definitions, EventDefinition
from platform_events.names import Namespace
from tests.support import load

BASE = """
event: A__e
fields:
  - {name: id, type: string}
"""
AMOUNT = "  - {name: amount, type: %s}\n"
OPTIONAL = "  - {name: note, type: %s, optional: true}\n"
DECIMAL = "{type: bytes, logicalType: decimal, precision: 12, scale: %d}"
TOPIC = Namespace().topic("A__e")


class World:
    """A catalog with one event, to which versions of its file are applied."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.state = CatalogState()

    def read(self, text: str, mode: str = "full") -> EventDefinition:
        return load(self._directory, text + f"compatibility: {mode}\n").events["A__e"]

    def plan(self, text: str, mode: str = "full", *, replaced: bool = False) -> Change:
        definition = self.read(text, mode)
        options = PlanOptions(replace=frozenset({"A__e"} if replaced else ()))
        facts = {TOPIC: TopicFacts("t1", 1, 1, topic_config(definition, options))}
        desired = Definitions("default", {"A__e": definition})
        (change,) = make_plan(desired, self.state, facts, options).changes
        return change

    def begin(self, text: str, mode: str = "full", *, replaced: bool = False) -> Change:
        """Apply up to where the catalog says what is wanted."""
        change = self.plan(text, mode, replaced=replaced)
        assert change.refusals == ()
        if change.entry is not None:
            self._write(change)
        return change

    def apply(self, text: str, mode: str = "full", *, replaced: bool = False) -> Change:
        change = self.begin(text, mode, replaced=replaced)
        if change.entry is not None:
            done = replace(activate_event(self.state.entries["A__e"]), retired=False)
            self._write(replace(change, entry=done))
        return change

    def prune(self) -> None:
        entry = replace(self.state.entries["A__e"], wanted=None, active=None)
        entry = replace(entry, schema_ids=(), compared=())
        self._write(Change(Action.DELETE, "A__e", entry=entry))

    def _write(self, change: Change) -> None:
        assert change.entry is not None
        for key, value in self.state.records([change.entry]).items():
            self.state.fold(key.encode(), value, "catalog@0")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


ADDED = (BASE, BASE + AMOUNT % "long")
REMOVED = (BASE + AMOUNT % "long", BASE)
NULLABLE = (BASE + AMOUNT % "long", BASE + OPTIONAL.replace("note", "amount") % "long")


@pytest.mark.parametrize("mode", COMPATIBILITIES)
@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [(*ADDED, "old events"), (*REMOVED, "new events"), (*NULLABLE, "new events")],
)
def test_each_mode_protects_the_readers_that_it_says(
    world: World, mode: str, old: str, new: str, broken: str
) -> None:
    world.apply(old, mode)
    change = world.plan(new, mode)
    assert bool(change.refusals) == (broken in PROTECTED[mode])  # type: ignore[index]
    said = change.refusals or change.details
    assert any(f"breaks readers of {broken}" in text for text in said)
    if not change.refusals:
        assert any(f"compatibility: {mode} allows it" in text for text in change.details)


def test_full_is_the_default(world: World) -> None:
    assert "compatibility" not in BASE
    assert load(world._directory, BASE).events["A__e"].compatibility == "full"


def test_a_refusal_names_the_change_its_place_who_suffers_and_each_way_out(world: World) -> None:
    world.apply(BASE + AMOUNT % "double")
    (refusal,) = world.plan(BASE + AMOUNT % "string").refusals
    file = world._directory / "definition0.yaml"
    assert refusal == (
        f"amount: retyped from double to string ({file}:5:12): breaks readers of new events and "
        "old events; add an optional field beside it, give the event a new name, write "
        "compatibility: none or begin the stream again with apply --replace A__e"
    )
    (refusal,) = world.plan(BASE).refusals
    assert refusal.startswith(
        f"amount: removed, was double ({file}:3:1): breaks readers of new events; keep it, "
    )
    assert "write compatibility: backward" in refusal
    refusal = world.plan(BASE + AMOUNT % "double" + "  - {name: b, type: int}\n").refusals[0]
    assert refusal.startswith(f"b: added, int ({file}:6:12): breaks readers of old events; make it")
    assert "write compatibility: forward" in refusal


def test_optional_fields_come_and_go_and_the_plan_says_what_that_means(world: World) -> None:
    world.apply(BASE)
    added = world.apply(BASE + OPTIONAL % "string")
    assert any(text == "note: added, null or string" for text in added.details)
    removed = world.apply(BASE)
    assert any("note: removed" in text and "expect it missing" in text for text in removed.details)
    back = world.plan(BASE + OPTIONAL % "long")
    assert "note: retyped from null or string to null or long" in back.refusals[0]
    assert "compared with the earlier schema" in back.refusals[0]
    assert world.plan(BASE + OPTIONAL % "string").refusals == ()


@pytest.mark.parametrize("how", ["none", "backward", "replace"])
def test_a_break_that_was_accepted_is_judged_once(world: World, how: str) -> None:
    world.apply(BASE + AMOUNT % "int")
    mode, replaced = ("full", True) if how == "replace" else (how, False)
    change = world.apply(BASE + AMOUNT % "long", mode, replaced=replaced)
    assert change.retires == replaced
    assert any("breaks readers of new events; " in text for text in change.details)
    assert world.plan(BASE + AMOUNT % "long").refusals == ()
    assert world.apply(BASE + AMOUNT % "long" + OPTIONAL % "string").refusals == ()
    # The very first version is not compared again, those since then are.
    entry = world.state.entries["A__e"]
    assert len(entry.schema_ids) == 3
    assert len(entry.compared) == 2
    assert "from long to double" in world.plan(BASE + AMOUNT % "double").refusals[0]
    assert "note" in world.plan(BASE + AMOUNT % "long" + OPTIONAL % "int").refusals[0]


def test_replacing_what_breaks_nobody_replaces_nothing(world: World) -> None:
    world.apply(BASE)
    change = world.apply(BASE + OPTIONAL % "string", replaced=True)
    assert not change.retires
    assert len(world.state.entries["A__e"].compared) == 2


def test_what_the_catalog_held_before_breaks_were_recorded_is_not_judged_again(
    world: World,
) -> None:
    world.apply(BASE + OPTIONAL % "string")
    world.apply(BASE)
    entry = world.state.entries["A__e"]
    assert len(entry.compared) == 2
    world.state.entries["A__e"] = replace(entry, compared=())
    assert world.apply(BASE + OPTIONAL % "long").refusals == ()
    assert len(world.state.entries["A__e"].compared) == 2


@pytest.mark.parametrize("then", ["int", "long", "string"])
def test_a_replacement_that_was_begun_is_finished_whatever_the_version_is_then(
    world: World, then: str
) -> None:
    world.apply(BASE + AMOUNT % "int")
    world.begin(BASE + AMOUNT % "string", replaced=True)
    assert world.state.entries["A__e"].pending
    text = BASE + AMOUNT % then
    again = world.plan(text)
    assert (again.refusals, again.retires, len(again.asks)) == ((), True, 1)
    world.apply(text)
    assert world.state.entries["A__e"].compared == (world.read(text).schema.id,)


@pytest.mark.parametrize("mode", COMPATIBILITIES)
@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize("pruned", [False, True])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DECIMAL % 2, DECIMAL % 4),
        (DECIMAL % 2, "bytes"),
        ("long", "{type: long, logicalType: timestamp-millis}"),
        ('["null", string]', '["null", {type: string, logicalType: uuid}]'),
    ],
)
def test_a_logical_type_never_changes_under_the_same_id(
    world: World, mode: str, before: str, after: str, *, replaced: bool, pruned: bool
) -> None:
    world.apply(BASE + AMOUNT % before)
    if pruned:
        world.prune()
    (refusal,) = world.plan(BASE + AMOUNT % after, mode, replaced=replaced).refusals
    assert refusal.startswith("amount: retyped from ")
    assert refusal.endswith("give the field or the event a new name")
    assert "definition0.yaml:5:12" in refusal
    assert not any(way in refusal for way in ("--replace", "compatibility", "optional"))
    renamed = BASE + (AMOUNT % after).replace("amount", "total")
    assert pruned == (world.plan(renamed, "full").refusals == ())


def test_a_pruned_name_may_have_another_schema(world: World) -> None:
    world.apply(BASE + AMOUNT % "int")
    world.prune()
    assert world.apply(BASE + AMOUNT % "string").action is Action.CREATE
    assert world.plan(BASE + AMOUNT % "int").refusals


def test_a_version_that_cannot_be_read_is_said_to_be_passed_over(world: World) -> None:
    first = world.read(BASE + OPTIONAL % "string").schema.id
    world.apply(BASE + OPTIONAL % "string")
    world.apply(BASE)
    world.state.fold(f"schema/{first}".encode(), b"junk", "catalog@9")
    change = world.plan(BASE + OPTIONAL % "long")
    assert change.refusals == ()
    assert any(f"schema {first} is unreadable" in text for text in change.details)


def test_another_mode_is_a_change_of_its_own(world: World) -> None:
    world.apply(BASE)
    change = world.apply(BASE, "none")
    assert change.action is Action.UPDATE
    assert "compatibility: full -> none" in change.details
    active = world.state.entries["A__e"].active
    assert isinstance(active, EventDefinition)
    assert active.compatibility == "none"
