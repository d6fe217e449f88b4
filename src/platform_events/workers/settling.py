"""Where a worker begins in a partition that it was given; pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from platform_events.errors import SubscriptionConflictError
from platform_events.names import stream_path
from platform_events.workers.holes import Saved, decode, topic_tag

if TYPE_CHECKING:
    from platform_events.kafka.offsets import Committed
    from platform_events.workers.journal import PartitionJournal, SubscriptionRecord


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where to go on."""

    offset: int
    """The low-water mark."""
    saved: Saved
    """What is known of events behind it."""
    lost: int = 0
    """Offsets that retention has removed before they were handled; an upper bound of events."""
    is_readable: bool = True
    """Whether what was committed says what is done behind its offset."""


def settle(
    journal: PartitionJournal,
    subscription: SubscriptionRecord,
    topic_id: str,
    marks: tuple[int, int],
    committed: Committed | None,
) -> Beginning:
    """Return where a partition's new owner begins.

    A seek that was commanded and not applied comes first, then what the group has committed, then
    what the journal has of that, since Kafka forgets the positions of groups without members, then
    where the subscription began.

    Args:
        journal: of the partition, read to its end.
        subscription: whose.
        topic_id: UUID of the stream's topic.
        marks: the partition's first offset and its end.
        committed: by the group; None: nothing, or no more. What is about another topic of that
            name is nothing.

    Raises:
        SubscriptionConflictError: the stream is another than the position's.
    """
    name, path = subscription.name, stream_path(subscription.stream)
    control, seek, saved = journal.control, journal.control.seek, journal.saved
    if seek is not None and seek.topic_id != topic_id:
        seek = None
    if committed is not None and not decode(committed.offset, committed.metadata).is_of(topic_id):
        # It was committed when the topic that it is about was gone.
        committed = None
    if committed is not None:
        found = decode(committed.offset, committed.metadata)
        offset = committed.offset
    elif saved is not None and saved.topic_id == topic_id:
        found, offset = decode(saved.offset, saved.metadata), saved.offset
    elif seek is not None or subscription.topic_id == topic_id:
        offset = _start(journal.partition, subscription, topic_id)
        found = Saved(high=offset)
    else:
        raise SubscriptionConflictError(
            name,
            f"{path} was deleted and created again, and {name} has no position in the new one: "
            f"platform-events subscriptions seek {name} --to earliest",
        )
    # Of what cannot be read, or what Kafka's own tools have committed, the last command is taken as
    # carried out: a seek that was carried out before would lose events if it were again.
    tells_generation = committed is None or (found.is_known and bool(committed.metadata))
    if tells_generation and seek is not None and seek.generation > found.generation:
        offset, found = seek.offset, Saved(high=seek.offset)
    is_readable = found.is_known
    found = replace(found, generation=control.generation, is_known=True, topic=topic_tag(topic_id))
    first, end = marks
    if offset > end:
        raise SubscriptionConflictError(
            name,
            f"{name} is at offset {offset} of {path}, partition {journal.partition}, which ends at "
            f"{end}: its events were lost or the stream is another; platform-events subscriptions "
            f"seek {name} --to latest, or earliest",
        )
    lost = 0
    if offset < first:
        gone = sum(hole < first for hole in found.holes) + max(first - max(found.high, offset), 0)
        lost = gone or (first - offset if found.high <= offset else 0)
        holes = tuple(hole for hole in found.holes if hole >= first)
        offset, found = first, replace(found, high=max(found.high, first), holes=holes)
    return Beginning(offset, found, lost, is_readable)


def _start(partition: int, subscription: SubscriptionRecord, topic_id: str) -> int:
    """Return where a partition without a position begins: one that was added since, at 0."""
    offsets = subscription.offsets
    if subscription.topic_id != topic_id or partition >= len(offsets):
        return 0
    return offsets[partition]
