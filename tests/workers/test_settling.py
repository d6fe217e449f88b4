"""Where a partition's new owner begins."""

from __future__ import annotations

import pytest

from platform_events.errors import SubscriptionConflictError
from platform_events.kafka.offsets import Committed
from platform_events.workers.holes import Saved, encode
from platform_events.workers.journal import (
    Control,
    PartitionJournal,
    SavedPosition,
    Seek,
    SubscriptionRecord,
)
from platform_events.workers.settling import settle

TOPIC = "topic-1"
SUBSCRIPTION = SubscriptionRecord("billing", "Order__e", TOPIC, "key", "latest", (40,), 0)


def journal(
    control: Control | None = None, saved: SavedPosition | None = None, partition: int = 0
) -> PartitionJournal:
    journal = PartitionJournal(partition)
    journal.control = control or Control()
    journal.saved = saved
    return journal


def committed(offset: int, saved: Saved | None = None) -> Committed:
    text, _ = encode(offset, saved or Saved(high=offset))
    return Committed("t", 0, offset, text)


def test_a_new_subscription_begins_where_it_was_made() -> None:
    assert settle(journal(), SUBSCRIPTION, TOPIC, (0, 90), None).offset == 40


def test_a_partition_that_was_added_since_begins_at_its_beginning() -> None:
    assert settle(journal(partition=1), SUBSCRIPTION, TOPIC, (0, 90), None).offset == 0


def test_what_is_committed_comes_before_what_is_saved() -> None:
    saved = SavedPosition(50, "", TOPIC, 0)
    assert settle(journal(saved=saved), SUBSCRIPTION, TOPIC, (0, 90), committed(60)).offset == 60
    assert settle(journal(saved=saved), SUBSCRIPTION, TOPIC, (0, 90), None).offset == 50


def test_a_position_in_a_former_topic_is_none() -> None:
    saved = SavedPosition(50, "", "topic-0", 0)
    assert settle(journal(saved=saved), SUBSCRIPTION, TOPIC, (0, 90), None).offset == 40


def test_a_seek_is_applied_once() -> None:
    control = Control(3, seek=Seek(2, 7, TOPIC))
    first = settle(journal(control), SUBSCRIPTION, TOPIC, (0, 90), committed(60))
    assert (first.offset, first.saved.generation) == (7, 3)
    again = settle(journal(control), SUBSCRIPTION, TOPIC, (0, 90), committed(60, Saved(2, high=60)))
    assert (again.offset, again.saved.generation) == (60, 3)


def test_a_seek_is_not_applied_to_another_topic() -> None:
    control = Control(3, seek=Seek(3, 7, "topic-0"))
    assert settle(journal(control), SUBSCRIPTION, TOPIC, (0, 90), None).offset == 40


def test_metadata_that_cannot_be_read_loses_nothing() -> None:
    control = Control(3, seek=Seek(3, 80, TOPIC))
    newer = Committed("t", 0, 60, "2;what;ever")
    found = settle(journal(control), SUBSCRIPTION, TOPIC, (0, 90), newer)
    assert (found.offset, found.saved.holes, found.is_readable) == (60, (), False)


def test_what_kafkas_own_tools_have_committed_counts() -> None:
    control = Control(3, seek=Seek(3, 80, TOPIC))
    plain = Committed("t", 0, 60, "")
    found = settle(journal(control), SUBSCRIPTION, TOPIC, (0, 90), plain)
    assert (found.offset, found.saved.generation, found.is_readable) == (60, 3, True)


def test_what_is_done_behind_the_position_stays_done() -> None:
    saved = Saved(high=70, holes=(60, 65))
    found = settle(journal(), SUBSCRIPTION, TOPIC, (0, 90), committed(60, saved))
    assert (found.offset, found.saved.high, found.saved.holes) == (60, 70, (60, 65))


def test_events_that_retention_removed_are_counted() -> None:
    plain = settle(journal(), SUBSCRIPTION, TOPIC, (75, 90), committed(60))
    assert (plain.offset, plain.saved.high, plain.lost) == (75, 75, 15)
    # Of sixteen offsets before 75, two were not done, and five were never taken.
    saved = Saved(high=70, holes=(60, 65))
    holed = settle(journal(), SUBSCRIPTION, TOPIC, (75, 90), committed(60, saved))
    assert (holed.offset, holed.saved.holes, holed.lost) == (75, (), 7)
    # Everything that retention removed was done.
    saved = Saved(high=80, holes=(78,))
    found = settle(journal(), SUBSCRIPTION, TOPIC, (75, 90), committed(60, saved))
    assert (found.offset, found.saved.high, found.saved.holes, found.lost) == (75, 80, (78,), 0)


def test_a_log_that_is_too_short_is_another() -> None:
    with pytest.raises(SubscriptionConflictError, match="seek billing"):
        settle(journal(), SUBSCRIPTION, TOPIC, (0, 50), committed(60))


def test_a_stream_that_was_created_again_is_not_read_by_guess() -> None:
    with pytest.raises(SubscriptionConflictError, match="created again"):
        settle(journal(), SUBSCRIPTION, "topic-2", (0, 90), None)
    control = Control(1, seek=Seek(1, 0, "topic-2"))
    assert settle(journal(control), SUBSCRIPTION, "topic-2", (0, 90), None).offset == 0


def test_what_was_committed_for_a_former_topic_is_nothing() -> None:
    """Kafka forgets it with the topic; a worker that notices late commits it once more."""
    late = committed(60, Saved(high=60, topic="topic-1"))
    with pytest.raises(SubscriptionConflictError, match="created again"):
        settle(journal(), SUBSCRIPTION, "topic-2", (0, 90), late)
    control = Control(1, seek=Seek(1, 0, "topic-2"))
    found = settle(journal(control), SUBSCRIPTION, "topic-2", (0, 90), late)
    assert (found.offset, found.saved.topic) == (0, "topic-2")
    assert settle(journal(), SUBSCRIPTION, TOPIC, (0, 90), late).offset == 60
