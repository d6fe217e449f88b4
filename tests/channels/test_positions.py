from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.catalog.positions import (
    Checkpoint,
    Place,
    Position,
    beginning,
    channel_checkpoint,
    places_of,
    plan_resumption,
    read_positions,
    skip_expired,
)
from platform_events.catalog.state import Feed, Feeding
from platform_events.kafka.offsets import Committed

counts = st.integers(0, 2**62)
checkpoints = st.builds(Checkpoint, counts, counts, counts, counts, counts, counts)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)
fields = st.sampled_from(["definition", "at", "passed", "filtered", "dead_lettered", "expired"])


def feed(event: str, added: int, *starts: int) -> Feed:
    return Feed(event, "", added, f"topic-{event}", starts or (0,))


def at(offset: int, definition: int) -> Position:
    return Position(offset, Checkpoint(definition, 0))


@given(checkpoints)
def test_a_checkpoint_survives_its_text_and_fits(checkpoint: Checkpoint) -> None:
    assert Checkpoint.parse(checkpoint.to_text()) == checkpoint
    assert len(checkpoint.to_text()) <= 4_096


@given(
    st.text() | st.dictionaries(fields, json_values).map(json.dumps) | json_values.map(json.dumps)
)
def test_any_other_text_is_no_checkpoint_or_one_of_numbers(text: str) -> None:
    checkpoint = Checkpoint.parse(text)
    assert checkpoint is None or all(type(number) is int for number in asdict(checkpoint).values())


def test_a_checkpoint_of_an_earlier_version_is_read() -> None:
    text = '{"definition":3,"at":7,"passed":5,"filtered":4,"set_aside":2,"expired":1}'
    assert Checkpoint.parse(text) == Checkpoint(3, 7, 5, 4, 2, 1)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '{"at": 1e999}', '{"at": {}}'])
def test_garbage_is_no_checkpoint(text: str) -> None:
    assert Checkpoint.parse(text) is None


def test_positions_of_other_topics_and_commits_of_other_tools_are_passed_over() -> None:
    own = Checkpoint(3, 7).to_text()
    committed = {
        (topic, partition): Committed(topic, partition, 5, text)
        for topic, partition, text in [("t.A", 0, own), ("t.A", 1, "tool"), ("t.B", 0, own)]
    }
    assert read_positions(committed, {"t.A": "A"}) == {Place("A", 0): Position(5, Checkpoint(3, 7))}


def test_a_partition_is_fed_by_all_members_or_by_its_own_number() -> None:
    feeding = Feeding(1, (feed("A", 1), feed("B", 1)))
    partitions = {"A": 2, "B": 3}
    assert [place for _, place in places_of(feeding, partitions, 1, 0)] == [
        ("A", 0), ("A", 1), ("B", 0), ("B", 1), ("B", 2),
    ]  # fmt: skip
    assert [place for _, place in places_of(feeding, {"A": 3, "B": 3}, 3, 2)] == [
        ("A", 2), ("B", 2),
    ]  # fmt: skip


class TestResume:
    A0, A1, B0, C0 = Place("A", 0), Place("A", 1), Place("B", 0), Place("C", 0)

    def test_committed_positions_go_on(self) -> None:
        member = feed("A", 1, 10, 20)
        committed = {self.A0: at(15, 4), self.A1: at(25, 4)}
        found = plan_resumption([(member, self.A0), (member, self.A1)], committed, None)
        assert found.positions == committed
        assert list(found.missing) == []

    def test_a_new_member_begins_at_its_start(self) -> None:
        places = [(feed("A", 1), self.A0), (feed("B", 2, 33), self.B0)]
        found = plan_resumption(places, {self.A0: at(15, 1)}, None)
        assert found.positions[self.A0] == at(15, 1)
        assert found.positions[self.B0].offset == 33
        assert not found.missing

    def test_a_member_that_comes_again_does_not_go_on_where_it_left(self) -> None:
        places = [(feed("A", 1), self.A0), (feed("B", 3, 2), self.B0)]
        found = plan_resumption(places, {self.A0: at(15, 2), self.B0: at(99, 1)}, None)
        assert found.positions[self.B0].offset == 2

    def test_a_lost_position_is_not_made_up(self) -> None:
        places = [(feed("A", 1), self.A0), (feed("B", 2), self.B0)]
        for committed in ({}, {self.A0: at(15, 3)}):
            found = plan_resumption(places, committed, None)
            assert [place for _, place in found.missing] == [
                place for _, place in places if place not in committed
            ]

    def test_members_that_all_come_new_begin_at_their_starts(self) -> None:
        """What the channel had before is known from its own checkpoint, so nothing was lost."""
        places = [(feed("B", 4, 33), self.B0)]
        found = plan_resumption(places, {self.A0: at(15, 3)}, Checkpoint(3, 0))
        assert found.positions[self.B0].offset == 33
        assert not found.missing

    def test_the_channel_s_own_checkpoint_tells_that_a_position_was_lost(self) -> None:
        places = [(feed("A", 1), self.A0), (feed("B", 3), self.B0)]
        found = plan_resumption(places, {self.A0: at(15, 2)}, Checkpoint(3, 0))
        assert [place for _, place in found.missing] == [self.B0]

    def test_a_lost_position_is_not_taken_for_a_new_member(self) -> None:
        """Also while another member is added: only what is newer than all that is there is new."""
        places = [(feed("A", 1), self.A0), (feed("B", 1), self.B0), (feed("C", 3, 8), self.C0)]
        found = plan_resumption(places, {self.A0: at(15, 2)}, None)
        assert [place for _, place in found.missing] == [self.B0]
        assert found.positions[self.C0].offset == 8


def test_the_definition_in_force_is_kept_with_the_channel_s_own_partition() -> None:
    own = Committed("chn", 1, 0, Checkpoint(3, 7).to_text())
    commits = {("chn", 1): own, ("chn", 0): Committed("chn", 0, 0, "tool")}
    assert channel_checkpoint(commits, "chn", 1) == Checkpoint(3, 7)
    assert channel_checkpoint(commits, "chn", 0) is None
    assert channel_checkpoint(commits, "chn", 2) is None


def test_beginning_is_the_start_or_after_what_is_known() -> None:
    member = feed("A", 4, 10, 20)
    known = [(1, None, 20), (2, None, 0), (1, 57, 58), (1, 0, 1)]
    for partition, highest, offset in known:
        assert beginning(member, Place("A", partition), highest).offset == offset


@given(st.integers(0, 100), st.integers(0, 100), checkpoints)
def test_what_retention_removed_is_passed_over_and_counted(
    offset: int, first: int, checkpoint: Checkpoint
) -> None:
    position, lost = skip_expired(Position(offset, checkpoint), first)
    assert position.offset == max(offset, first)
    assert lost == position.offset - offset
    assert position.checkpoint == Checkpoint(
        **asdict(checkpoint) | {"expired": checkpoint.expired + lost}
    )
