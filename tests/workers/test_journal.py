"""What a journal's records say, and what is left of the bad ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from platform_events.workers.dead_letter import (
    LARGEST_LETTER,
    LONGEST_MESSAGE,
    LONGEST_TRACEBACK,
    Letter,
    event_facts,
    letter_record,
    letter_tombstone,
    open_letter,
    split_letter_id,
)
from platform_events.workers.documents import JournalRecord
from platform_events.workers.journal import (
    Control,
    PartitionJournal,
    RedriveRequest,
    SavedPosition,
    Seek,
    SubscriptionRecord,
    control_record,
    position_record,
    redrive_record,
    redrive_tombstone,
    subscription_record,
)
from tests.workers.journals import Folded, Stored, letter

NUMBERS = some.integers(0, 2**63 - 1)
NAMES = some.text(max_size=20)
SEEKS = some.builds(Seek, generation=NUMBERS, offset=NUMBERS, topic_id=NAMES)
CONTROLS = some.builds(
    Control,
    generation=NUMBERS,
    paused=some.booleans(),
    deleted=some.booleans(),
    seek=some.none() | SEEKS,
)
SUBSCRIPTIONS = some.builds(
    SubscriptionRecord,
    name=NAMES,
    stream=NAMES,
    topic_id=NAMES,
    order=some.sampled_from(["key", "none"]),
    start=NAMES,
    offsets=some.lists(NUMBERS, max_size=4).map(tuple),
    created_ms=NUMBERS,
)
POSITIONS = some.builds(
    SavedPosition, offset=NUMBERS, metadata=NAMES, topic_id=NAMES, saved_ms=NUMBERS
)
HEADERS = some.lists(
    some.tuples(
        some.sampled_from(["ce_id", "own", "pe-letter", "pe-key"]), some.none() | some.binary()
    ),
    max_size=4,
)
LETTERS = some.builds(
    Letter,
    partition=some.integers(0, 1),
    offset=some.integers(0, 2),
    version=NUMBERS,
    status=some.sampled_from(["dead", "parked"]),
    stops_key=some.booleans(),
    reason=NAMES,
    message=NAMES,
    attempts=NUMBERS,
    first_failure_ms=NUMBERS,
    last_failure_ms=NUMBERS,
    type=NAMES,
    event_id=NAMES,
    schema_id=NAMES,
    replay_id=NAMES,
    stored_ms=NUMBERS,
    key=some.none() | some.binary(),
    has_body=some.booleans(),
    traceback=NAMES,
    journal_offset=NUMBERS,
)
IDS = some.sampled_from(["0-0", "0-1", "0-2", "1-0"])
REQUESTS = some.builds(RedriveRequest, id=IDS, letter_version=NUMBERS, requested_ms=NUMBERS)
KEYS = some.sampled_from(
    ["subscription", "control", "position", "letter/0-1", "letter/x", "redrive/0-1", "later"]
).map(str.encode)
JUNK = some.builds(
    JournalRecord,
    key=KEYS | some.binary(),
    value=some.none() | some.binary() | some.sampled_from([b'{"version":2}', b"[]", b"[" * 10**5]),
    headers=HEADERS,
)
RECORDS = some.one_of(
    CONTROLS.map(control_record),
    SUBSCRIPTIONS.map(subscription_record),
    POSITIONS.map(position_record),
    LETTERS.map(lambda one: letter_record(one, b"body" if one.has_body else None, [])),
    REQUESTS.map(redrive_record),
    IDS.map(letter_tombstone),
    IDS.map(redrive_tombstone),
    JUNK,
)


def fold(*records: Stored | JournalRecord) -> PartitionJournal:
    journal = PartitionJournal(0)
    for offset, record in enumerate(records):
        journal.fold(record if isinstance(record, Stored) else Stored(record, offset))
    return journal


def changed(record: JournalRecord, **values: Any) -> JournalRecord:
    """Return a record whose document says something else."""
    return JournalRecord(
        record.key, json.dumps({**json.loads(record.value or b""), **values}).encode()
    )


@given(SUBSCRIPTIONS, CONTROLS, POSITIONS, REQUESTS)
def test_what_was_written_is_read(
    subscription: SubscriptionRecord,
    control: Control,
    saved: SavedPosition,
    request: RedriveRequest,
) -> None:
    journal = fold(
        subscription_record(subscription),
        control_record(control),
        position_record(saved),
        redrive_record(request),
    )
    found = (journal.subscription, journal.control, journal.saved, journal.requests[request.id])
    assert found == (subscription, control, saved, request)
    assert journal.unreadable == []


@given(LETTERS, some.binary(), HEADERS)
def test_a_letter_and_its_event_are_read_as_they_were_written(
    written: Letter, body: bytes, headers: list[tuple[str, bytes | None]]
) -> None:
    stored = body if written.has_body else None
    record = Stored(letter_record(written, stored, headers), written.journal_offset)
    assert open_letter(record) == (written, stored, headers)
    (found,) = fold(record).letters.values()
    assert found.traceback == ""
    assert (found.id, found.key, found.message) == (written.id, written.key, written.message)


@given(some.lists(RECORDS, max_size=30))
def test_what_compaction_leaves_says_the_same(records: list[JournalRecord]) -> None:
    stored = [Stored(record, offset) for offset, record in enumerate(records)]
    last = {record.key(): record.offset() for record in stored}
    left = [record for record in stored if last[record.key()] == record.offset()]
    assert Folded(fold(*left)).facts == Folded(fold(*stored)).facts


def test_what_a_newer_version_wrote_condemns_only_itself() -> None:
    newer = changed(control_record(Control(7, paused=True)), version=2, mode="slow")
    first = letter_record(letter(1), b"1", [])
    header = first.headers[-1][1] or b""
    later = JournalRecord(
        b"letter/0-2", b"2", [("pe-letter", header.replace(b'"format":1', b'"format":2'))]
    )
    journal = fold(
        first,
        later,
        newer,
        JournalRecord(b"snapshot", b'{"version": 2}'),
        position_record(SavedPosition(3, "", "t", 4)),
    )
    assert list(journal.letters) == ["0-1"]
    assert journal.control == Control()
    assert journal.saved == SavedPosition(3, "", "t", 4)
    assert len(journal.unreadable) == 2
    assert "letter/0-2 at offset 1 of the journal: a newer version" in journal.unreadable[0]
    assert "control at offset 2" in str(journal.why_unreadable("control"))
    journal.fold(Stored(control_record(Control(8)), 5))
    assert journal.control == Control(8)
    assert len(journal.unreadable) == 1


def test_unknown_names_in_a_document_are_passed_over() -> None:
    control = Control(3, paused=True, seek=Seek(2, 5, "t"))
    assert fold(changed(control_record(control), later={"a": 1})).control == control


@pytest.mark.parametrize(
    "wrong",
    [
        {"generation": "3"},
        {"generation": True},
        {"generation": 1.5},
        {"paused": 0},
        {"seek": []},
        {"seek": {"generation": 1, "offset": None, "topic_id": "t"}},
        {"version": "1"},
    ],
)
def test_a_document_with_something_else_in_it_is_unreadable(wrong: dict[str, Any]) -> None:
    journal = fold(control_record(Control(2)), changed(control_record(Control(3)), **wrong))
    assert journal.control == Control()
    assert len(journal.unreadable) == 1


def test_a_request_is_for_one_version_of_a_letter() -> None:
    journal = fold(
        letter_record(letter(1, version=2), b"", []),
        redrive_record(RedriveRequest("0-1", 2, 0)),
        redrive_record(RedriveRequest("0-9", 1, 0)),
    )
    asked = journal.requested("0-1")
    assert asked is not None
    assert asked.version == 2
    assert journal.requested("0-9") is None
    journal.fold(Stored(letter_record(letter(1, version=3), b"", [])))
    assert journal.requested("0-1") is None
    journal.fold(Stored(redrive_record(RedriveRequest("0-1", 3, 0))))
    assert journal.requested("0-1") is not None
    journal.fold(Stored(letter_tombstone("0-1")))
    assert journal.requested("0-1") is None


def test_requests_are_in_the_order_in_which_they_were_made_last() -> None:
    ids = ["0-3", "0-1", "0-2", "0-3"]
    journal = fold(*(redrive_record(RedriveRequest(id_, 1, 0)) for id_ in ids))
    assert list(journal.requests) == ["0-1", "0-2", "0-3"]


def test_failures_are_cut_before_the_event() -> None:
    tale = "é" * (LONGEST_TRACEBACK + 5) + "the end"
    told = letter(1, traceback=tale, message="m" * (LONGEST_MESSAGE + 1), event_id="i" * 5_000)
    found, _, _ = open_letter(Stored(letter_record(told, b"body", [])))
    assert found.traceback == tale[-LONGEST_TRACEBACK:]
    assert found.message == "m" * LONGEST_MESSAGE
    assert len(found.event_id) < 1_000
    for body in (b"x" * (LARGEST_LETTER - 10_000), b"x" * LARGEST_LETTER):
        record = letter_record(told, body, [("own", b"y")])
        found, stored, headers = open_letter(Stored(record))
        assert (stored, headers) == (body, [("own", b"y")])
        assert len(found.traceback) < LONGEST_TRACEBACK
    assert found.message == found.traceback == ""


def test_text_that_is_no_unicode_does_not_lose_a_letter() -> None:
    broken = letter(1, message="a\ud800b", traceback="\udfff")
    found, _, _ = open_letter(Stored(letter_record(broken, b"", [])))
    assert found.message == "a?b"


@pytest.mark.parametrize(
    "id_", ["", "0", "0-", "-1", "00-1", "0-01", "0-x", "\u0660-1", "0-1-2", "0-1\n"]
)
def test_what_is_no_letter_id(id_: str) -> None:
    assert split_letter_id(id_) is None
    assert split_letter_id("12-345") == (12, 345)


def test_an_event_that_says_little_of_itself() -> None:
    assert event_facts([]) == ("", "", "")
    headers = [("ce_type", b"A__e"), ("__value_schema_id", b"short"), ("ce_id", b"\xff")]
    assert event_facts(headers) == ("A__e", "\ufffd", "")
