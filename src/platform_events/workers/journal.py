"""What a subscription remembers beside its position: records of its journal and their fold; pure.

The journal is a compacted topic whose partition i lies beside partition i of the stream. Of each
key the last record counts, so folding what compaction left gives the same as folding all of it:

```
subscription          what the subscription is; in partition 0
control               what was commanded and is in force; the same in every partition
position              where the partition was left, for when Kafka has forgotten
letter/{id}           an event that was not handled, as it was stored; id is {partition}-{offset}
redrive/{id}          the request to handle it after all, for the letter as it is at one version
```
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from platform_events.wording import cut
from platform_events.workers.dead_letter import LETTER_KEY, read_letter, split_letter_id
from platform_events.workers.documents import (
    VERSION,
    JournalRecord,
    UnreadableRecordError,
    from_json,
    get,
    to_json,
)

if TYPE_CHECKING:
    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.documents import StoredRecord

Order: TypeAlias = Literal["key", "none"]

_ORDERS: dict[str, Order] = {"key": "key", "none": "none"}
SUBSCRIPTION_KEY = "subscription"
CONTROL_KEY = "control"
_POSITION = "position"
_REDRIVE = "redrive/"


@dataclass(frozen=True, slots=True)
class SubscriptionRecord:
    """What a subscription is. It never changes."""

    name: str
    stream: str
    """Bare name of the event or channel."""
    topic_id: str
    """UUID of the stream's topic when the subscription was made."""
    order: Order
    start: str
    """Where it began, as it was asked for."""
    offsets: tuple[int, ...]
    """Where each partition begins that has no position."""
    created_ms: int
    """Since the epoch."""


@dataclass(frozen=True, slots=True)
class Seek:
    """A command to go on elsewhere, in one partition."""

    generation: int
    """Of the control that brought it."""
    offset: int
    """The next one to handle."""
    topic_id: str
    """UUID of the topic in which that is an offset."""


@dataclass(frozen=True, slots=True)
class Control:
    """All that was commanded and is in force, in one partition.

    One record carries it all, so a command that follows another undoes nothing of it by accident.
    """

    generation: int = 0
    """Counts commands. What a partition's owner commits says which it has applied."""
    paused: bool = False
    deleted: bool = False
    """Whether the subscription is being deleted: workers end."""
    seek: Seek | None = None
    """The last one, applied or not."""


@dataclass(frozen=True, slots=True)
class SavedPosition:
    """A committed position, kept longer than Kafka keeps those of groups without members."""

    offset: int
    metadata: str
    """What was committed with it."""
    topic_id: str
    saved_ms: int
    """Since the epoch."""


@dataclass(frozen=True, slots=True)
class RedriveRequest:
    """A request to handle a letter's event after all."""

    id: str
    """The letter's."""
    letter_version: int
    """It is meant only for the letter as it was then."""
    requested_ms: int
    """Since the epoch."""


class PartitionJournal:
    """The fold of one partition of a journal.

    Args:
        partition: which.
        has_messages: whether letters keep what they say in words; there may be many.
    """

    def __init__(self, partition: int, *, has_messages: bool = True) -> None:
        self.partition = partition
        self.subscription: SubscriptionRecord | None = None
        self.control = Control()
        self.saved: SavedPosition | None = None
        self.letters: dict[str, Letter] = {}
        """By ID, without tracebacks."""
        self.requests: dict[str, RedriveRequest] = {}
        """By the letters' IDs, in the order in which they were made."""
        self._has_messages = has_messages
        self.changed: set[str] = set()
        """IDs of letters that changed, or requests for which did; whoever looks takes them out."""
        self._unreadable: dict[str, str] = {}

    @property
    def unreadable(self) -> list[str]:
        """What cannot be read, and why: as if it were not there, but for saying so."""
        return list(self._unreadable.values())

    def why_unreadable(self, key: str) -> str | None:
        """Return why the last record of a key cannot be read, such as `control`; None if it can."""
        return self._unreadable.get(key)

    def requested(self, id_: str) -> Letter | None:
        """Return a letter that is to be handled after all.

        None: nobody asked for it, or not for the letter as it is now.
        """
        request, letter = self.requests.get(id_), self.letters.get(id_)
        if request is None or letter is None or letter.version != request.letter_version:
            return None
        return letter

    def fold(self, record: StoredRecord) -> None:
        """Take the next record. Keys that this version does not know are passed over."""
        key = (record.key() or b"").decode(errors="replace")
        self._unreadable.pop(key, None)
        for kind in (LETTER_KEY, _REDRIVE):
            if key.startswith(kind):
                self.changed.add(key.removeprefix(kind))
        try:
            self._take(key, record)
        except UnreadableRecordError as error:
            self._forget(key)
            where = f"{cut(key)} at offset {record.offset()} of the journal"
            self._unreadable[key] = f"{where}: {error}"

    def _take(self, key: str, record: StoredRecord) -> None:
        if record.value() is None:
            self._forget(key)
        elif key.startswith(LETTER_KEY):
            letter = read_letter(record)
            message = letter.message if self._has_messages else ""
            self.letters[letter.id] = replace(letter, traceback="", message=message)
        elif key.startswith(_REDRIVE):
            request = _read_redrive(key, record)
            self.requests.pop(request.id, None)
            self.requests[request.id] = request
        elif key == CONTROL_KEY:
            self.control = _read_control(record)
        elif key == _POSITION:
            self.saved = _read_position(record)
        elif key == SUBSCRIPTION_KEY:
            self.subscription = _read_subscription(record)

    def _forget(self, key: str) -> None:
        if key.startswith(LETTER_KEY):
            self.letters.pop(key.removeprefix(LETTER_KEY), None)
        elif key.startswith(_REDRIVE):
            self.requests.pop(key.removeprefix(_REDRIVE), None)
        elif key == CONTROL_KEY:
            self.control = Control()
        elif key == _POSITION:
            self.saved = None
        elif key == SUBSCRIPTION_KEY:
            self.subscription = None


def subscription_record(subscription: SubscriptionRecord) -> JournalRecord:
    """Return the record that says what a subscription is; for partition 0."""
    return _document(
        SUBSCRIPTION_KEY,
        name=subscription.name,
        stream=subscription.stream,
        topic_id=subscription.topic_id,
        order=subscription.order,
        start=subscription.start,
        offsets=subscription.offsets,
        created_ms=subscription.created_ms,
    )


def control_record(control: Control) -> JournalRecord:
    """Return the record of what is in force in one partition."""
    seek = control.seek
    return _document(
        CONTROL_KEY,
        generation=control.generation,
        paused=control.paused,
        deleted=control.deleted,
        seek=None
        if seek is None
        else {"generation": seek.generation, "offset": seek.offset, "topic_id": seek.topic_id},
    )


def position_record(saved: SavedPosition) -> JournalRecord:
    """Return the record of where a partition was left."""
    return _document(
        _POSITION,
        offset=saved.offset,
        metadata=saved.metadata,
        topic_id=saved.topic_id,
        saved_ms=saved.saved_ms,
    )


def redrive_record(request: RedriveRequest) -> JournalRecord:
    """Return the record of a request, for the letter's partition."""
    return _document(
        _REDRIVE + request.id,
        letter_version=request.letter_version,
        requested_ms=request.requested_ms,
    )


def redrive_tombstone(id_: str) -> JournalRecord:
    """Return what removes a request."""
    return JournalRecord((_REDRIVE + id_).encode(), None)


def _read_subscription(record: StoredRecord) -> SubscriptionRecord:
    document = from_json(record.value(), "version")
    order = _ORDERS.get(get(document, "order", str))
    if order is None:
        raise UnreadableRecordError("its order is none that this version knows")
    offsets = get(document, "offsets", list)
    if not all(type(offset) is int for offset in offsets):
        raise UnreadableRecordError("its offsets are no numbers")
    return SubscriptionRecord(
        get(document, "name", str),
        get(document, "stream", str),
        get(document, "topic_id", str),
        order,
        get(document, "start", str),
        tuple(offsets),
        get(document, "created_ms", int),
    )


def _read_control(record: StoredRecord) -> Control:
    document = from_json(record.value(), "version")
    seek = document.get("seek")
    if seek is not None and not isinstance(seek, dict):
        raise UnreadableRecordError("its seek is no object")
    return Control(
        get(document, "generation", int),
        get(document, "paused", bool),
        get(document, "deleted", bool),
        None
        if seek is None
        else Seek(
            get(seek, "generation", int), get(seek, "offset", int), get(seek, "topic_id", str)
        ),
    )


def _read_position(record: StoredRecord) -> SavedPosition:
    document = from_json(record.value(), "version")
    return SavedPosition(
        get(document, "offset", int),
        get(document, "metadata", str),
        get(document, "topic_id", str),
        get(document, "saved_ms", int),
    )


def _read_redrive(key: str, record: StoredRecord) -> RedriveRequest:
    id_ = key.removeprefix(_REDRIVE)
    if split_letter_id(id_) is None:
        raise UnreadableRecordError("its key names no partition and offset")
    document = from_json(record.value(), "version")
    return RedriveRequest(
        id_, get(document, "letter_version", int), get(document, "requested_ms", int)
    )


def _document(key: str, **content: Any) -> JournalRecord:
    return JournalRecord(key.encode(), to_json({"version": VERSION, **content}))
