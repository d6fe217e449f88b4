"""How far a channel has come in each partition of its members: what is committed, what it means.

An offset in the channel's group says which record comes next. Its metadata says which definition
it belongs to, since which position of the channel that definition holds, and what became of the
records before: so these counts are as exact as the channel itself.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from platform_events.catalog.state import Feed, Feeding
    from platform_events.kafka.offsets import Committed


class Place(NamedTuple):
    """One partition of a member's stream."""

    event: str
    partition: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is committed with an offset."""

    definition: int
    """Number of the channel's definition by which the records before the offset were judged."""
    at: int
    """Offset in the channel from which on that definition holds."""
    passed: int = 0
    """Records that went into the channel since the member was added."""
    filtered: int = 0
    """Records that did not pass the filter."""
    dead_lettered: int = 0
    """Records in the dead-letter topic."""
    expired: int = 0
    """Records that retention removed before they were read; an upper bound."""

    def to_text(self) -> str:
        """Return it as metadata of an offset."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Checkpoint | None:
        """Read what `to_text` wrote; None for anything else, such as a commit by a foreign tool."""
        try:
            document = json.loads(text)
            # As earlier versions call it.
            document.setdefault("dead_lettered", document.get("set_aside", 0))
            return cls(**{one.name: int(document.get(one.name, 0)) for one in fields(cls)})
        except (ValueError, TypeError, AttributeError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class Position:
    """How far a channel is in one partition of a member."""

    offset: int
    """The next record to read."""
    checkpoint: Checkpoint


def read_positions(
    committed: Mapping[tuple[str, int], Committed], topics: Mapping[str, str]
) -> dict[Place, Position]:
    """Return the positions among a group's committed offsets.

    Args:
        committed: by topic and partition.
        topics: the members' topics to their events; others are passed over.
    """
    positions = {}
    for (topic, partition), one in committed.items():
        checkpoint = Checkpoint.parse(one.metadata)
        if topic in topics and checkpoint is not None:
            positions[Place(topics[topic], partition)] = Position(one.offset, checkpoint)
    return positions


def places_of(
    feeding: Feeding, partitions: Mapping[str, int], channel_partitions: int, channel_partition: int
) -> list[tuple[Feed, Place]]:
    """Return what feeds one partition of a channel.

    Partition i of a channel of several is fed by partition i of each member; the only partition of
    a channel by all of them.

    Args:
        feeding: how the channel is fed.
        partitions: how many partitions each member has.
        channel_partitions: how many the channel has.
        channel_partition: which of them.
    """
    return [
        (feed, Place(feed.event, partition))
        for feed in feeding.feeds
        for partition in range(partitions[feed.event])
        if channel_partitions == 1 or partition == channel_partition
    ]


@dataclass(frozen=True, slots=True)
class Resumption:
    """Where a channel partition goes on after another process, or another definition."""

    positions: Mapping[Place, Position]
    """Where it goes on; the checkpoints are of the definition before, until the next commit."""
    missing: Sequence[tuple[Feed, Place]]
    """Places whose position was lost: it has to be found in the channel itself."""


def channel_checkpoint(
    committed: Mapping[tuple[str, int], Committed], topic: str, partition: int
) -> Checkpoint | None:
    """Return the definition in force in a channel partition; None if it was never fed.

    It is committed for the channel's own partition, whatever its members are.
    """
    one = committed.get((topic, partition))
    return None if one is None else Checkpoint.parse(one.metadata)


def plan_resumption(
    places: Iterable[tuple[Feed, Place]],
    committed: Mapping[Place, Position],
    own: Checkpoint | None,
) -> Resumption:
    """Tell where to go on: at committed positions, or where a new member begins.

    A position from before its member was added is void. A place without a position is new if all
    that is committed is from before its member was added; otherwise its position was lost.

    Args:
        places: what feeds the channel partition.
        committed: the positions there are.
        own: the checkpoint of the channel partition itself.
    """
    places = list(places)
    checkpoints = [own, *(committed[place].checkpoint for _, place in places if place in committed)]
    newest = max((one.definition for one in checkpoints if one), default=0)
    positions: dict[Place, Position] = {}
    missing: list[tuple[Feed, Place]] = []
    for feed, place in places:
        found = committed.get(place)
        if found is not None and found.checkpoint.definition >= feed.added:
            positions[place] = found
        elif newest < feed.added and newest:
            positions[place] = beginning(feed, place)
        else:
            missing.append((feed, place))
    return Resumption(positions, missing)


def beginning(feed: Feed, place: Place, highest: int | None = None) -> Position:
    """Return where a member begins, or goes on after the last record known to be in the channel.

    Args:
        feed: the member.
        place: its partition; one that it gained later begins with its first record.
        highest: offset of that last record; None if there is none.
    """
    start = feed.starts[place.partition] if place.partition < len(feed.starts) else 0
    offset = start if highest is None else highest + 1
    return Position(offset, Checkpoint(definition=0, at=0))


def skip_expired(position: Position, first: int) -> tuple[Position, int]:
    """Return the position no earlier than the log's `first` offset, and how many are lost."""
    lost = max(first - position.offset, 0)
    if not lost:
        return position, 0
    checkpoint = replace(position.checkpoint, expired=position.checkpoint.expired + lost)
    return Position(first, checkpoint), lost
