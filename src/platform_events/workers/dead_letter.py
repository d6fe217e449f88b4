"""A dead letter: an event that was not handled, as a record of the journal; pure.

The record's value is the event's body. Of its headers the last is the letter's own document, before
it the event's key, and all others are the event's: they are what they were, whatever their names.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from platform_events.definitions.schema import GUID_BYTES
from platform_events.envelope import ID, SCHEMA, TYPE, find_header, header_schema_id
from platform_events.errors import UnknownLetterError
from platform_events.wording import shown
from platform_events.workers.documents import (
    VERSION,
    JournalRecord,
    UnreadableRecordError,
    from_json,
    get,
    to_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from platform_events.workers.documents import StoredRecord

LetterStatus: TypeAlias = Literal["dead", "parked"]
Headers: TypeAlias = "Sequence[tuple[str, bytes | None]]"

LETTER_KEY = "letter/"
"""What the keys of letters begin with; their IDs follow."""
LONGEST_MESSAGE = 1_000
"""Characters of a letter's message."""
LONGEST_TRACEBACK = 8_000
"""Characters of a letter's traceback; its end tells most."""
LONGEST_NAME = 200
"""Characters of an event ID, type or schema ID: other software may write any."""
LARGEST_LETTER = 1024 * 1024 + 60 * 1024
"""Bytes of a letter's key, value and headers: the largest event with all that is said about it, and
less than the producer takes."""
_STATUSES: dict[str, LetterStatus] = {"dead": "dead", "parked": "parked"}
_LETTER_HEADER = "pe-letter"
_KEY_HEADER = "pe-key"
_ID = re.compile(r"(0|[1-9][0-9]{0,9})-(0|[1-9][0-9]{0,18})")
_SHORTER = (
    (LONGEST_TRACEBACK, LONGEST_MESSAGE),
    (2_000, LONGEST_MESSAGE),
    (0, LONGEST_MESSAGE),
    (0, 100),
    (0, 0),
)
"""Characters of traceback and message that are tried one after the other."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An event that was not handled."""

    partition: int
    """Of the stream."""
    offset: int
    """In that partition."""
    version: int
    """How often the letter was written."""
    status: LetterStatus
    """`parked` has not failed itself: an earlier event stopped its key."""
    stops_key: bool
    """Whether later events of its key are parked because of it."""
    reason: str
    """The kind of failure, such as `failed` or `undecodable`."""
    message: str
    """The failure in words."""
    attempts: int
    """Of the handler."""
    first_failure_ms: int
    """Since the epoch, as all times here."""
    last_failure_ms: int
    type: str
    """Name of the event's definition; empty if it says none."""
    event_id: str
    """Empty if it says none."""
    schema_id: str
    """Empty if it says none."""
    replay_id: str
    """Text of the position after the event in its stream."""
    stored_ms: int
    """When the broker stored the event in its stream."""
    key: bytes | None
    """Of the event's record."""
    has_body: bool = True
    """False: the event's record was a tombstone."""
    traceback: str = ""
    """Empty in a fold, which is an index; reading a single letter tells it."""
    journal_offset: int = -1
    """Where in the journal's partition the letter is; -1 before it is written."""

    @property
    def id(self) -> str:
        """`partition-offset` of the event in its stream."""
        return letter_id(self.partition, self.offset)


def letter_id(partition: int, offset: int) -> str:
    """Return a letter's ID, `partition-offset`."""
    return f"{partition}-{offset}"


def split_letter_id(id_: str) -> tuple[int, int] | None:
    """Return partition and offset; None for what is no letter's ID."""
    match = _ID.fullmatch(id_)
    return (int(match[1]), int(match[2])) if match else None


def letter_tombstone(id_: str) -> JournalRecord:
    """Return what removes a letter."""
    return JournalRecord((LETTER_KEY + id_).encode(), None)


def letter_record(
    letter: Letter, body: bytes | None, headers: Headers | None, limit: int = LARGEST_LETTER
) -> JournalRecord:
    """Return the record of a letter.

    Traceback and message are cut, first to their usual lengths, then to what fits; the event is
    whole, even if the record is too large then.

    Args:
        letter: what is said about the event.
        body: the event's, as it was stored; None if its record was a tombstone.
        headers: the event's own.
        limit: bytes of key, value and headers.
    """
    for longest_traceback, longest_message in _SHORTER:
        record = _letter_record(letter, body, headers or (), longest_traceback, longest_message)
        if record.size <= limit:
            break
    return record


def _letter_record(
    letter: Letter, body: bytes | None, headers: Headers, traceback: int, message: int
) -> JournalRecord:
    document = {
        "format": VERSION,
        "version": letter.version,
        "status": letter.status,
        "stops_key": letter.stops_key,
        "reason": letter.reason,
        "message": letter.message[:message],
        "traceback": letter.traceback[-traceback:] if traceback else "",
        "attempts": letter.attempts,
        "first_failure_ms": letter.first_failure_ms,
        "last_failure_ms": letter.last_failure_ms,
        "type": letter.type[:LONGEST_NAME],
        "event_id": letter.event_id[:LONGEST_NAME],
        "schema_id": letter.schema_id[:LONGEST_NAME],
        "replay_id": letter.replay_id,
        "stored_ms": letter.stored_ms,
        "no_body": body is None,
        "has_key": letter.key is not None,
    }
    ours: list[tuple[str, bytes | None]] = [(_LETTER_HEADER, to_json(document))]
    if letter.key is not None:
        # As it is, since as text the largest would not fit.
        ours.insert(0, (_KEY_HEADER, letter.key))
    return JournalRecord((LETTER_KEY + letter.id).encode(), body or b"", [*headers, *ours])


def read_letter(record: StoredRecord) -> Letter:
    """Return the letter of a record, with its traceback.

    Raises:
        UnreadableRecordError: it is none that this version can read.
    """
    headers = record.headers() or []
    if not headers or headers[-1][0] != _LETTER_HEADER:
        raise UnreadableRecordError(f"its last header is not {_LETTER_HEADER}")
    document = from_json(headers[-1][1], "format")
    key = None
    if get(document, "has_key", bool):
        key = headers[-2][1] if headers[:-1] and headers[-2][0] == _KEY_HEADER else None
        if key is None:
            raise UnreadableRecordError(f"the header {_KEY_HEADER} is missing")
    id_ = (record.key() or b"").decode(errors="replace").removeprefix(LETTER_KEY)
    place = split_letter_id(id_)
    if place is None:
        raise UnreadableRecordError("its key names no partition and offset")
    status = _STATUSES.get(get(document, "status", str))
    if status is None:
        raise UnreadableRecordError("its status is none that this version knows")
    return Letter(
        *place,
        get(document, "version", int),
        status,
        get(document, "stops_key", bool),
        # There are few of them, and many letters.
        sys.intern(get(document, "reason", str)),
        get(document, "message", str),
        get(document, "attempts", int),
        get(document, "first_failure_ms", int),
        get(document, "last_failure_ms", int),
        sys.intern(get(document, "type", str)),
        get(document, "event_id", str),
        sys.intern(get(document, "schema_id", str)),
        get(document, "replay_id", str),
        get(document, "stored_ms", int),
        key,
        has_body=not get(document, "no_body", bool),
        traceback=get(document, "traceback", str),
        journal_offset=record.offset(),
    )


def open_letter(
    record: StoredRecord,
) -> tuple[Letter, bytes | None, list[tuple[str, bytes | None]]]:
    """Return the letter of a record, and body and headers of its event as they were.

    Raises:
        UnreadableRecordError: it is none that this version can read.
    """
    letter = read_letter(record)
    headers = record.headers() or []
    ours = 1 if letter.key is None else 2
    return letter, record.value() if letter.has_body else None, headers[:-ours]


def event_facts(headers: Headers) -> tuple[str, str, str]:
    """Return what an event's headers say: type, event ID and schema ID; empty where they do not."""
    schema = find_header(headers, SCHEMA) or b""
    return (
        (find_header(headers, TYPE) or b"").decode(errors="replace"),
        (find_header(headers, ID) or b"").decode(errors="replace"),
        header_schema_id(schema) if len(schema) == GUID_BYTES + 1 else "",
    )


def unknown_letter(id_: str, owner: str) -> UnknownLetterError:
    """Return the error for an ID that is no dead letter's of a subscription or channel."""
    return UnknownLetterError(
        id_,
        f"{owner} has no dead letter {shown(id_)}; platform-events dead-letters list shows those "
        "there are",
    )
