"""Dead letters as they are stored, whole: the events in them, and their tracebacks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Self

from platform_events.kafka.reader import APPEND_TIME, TopicReader, read_to
from platform_events.workers.dead_letter import Letter, open_letter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from platform_events.settings import Settings
    from platform_events.workers.journal import SubscriptionRecord

_LONGEST_GAP = 1_000
"""Records that are read for nothing rather than begin to read elsewhere."""


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A letter and its event, which is a record just as it was read from its stream."""

    letter: Letter
    """With its traceback."""
    stream_topic: str
    """Of the event's stream."""
    body: bytes | None
    event_headers: list[tuple[str, bytes | None]]

    def topic(self) -> str:
        """Return the name of the stream's topic."""
        return self.stream_topic

    def partition(self) -> int:
        """Return the partition's number in the stream."""
        return self.letter.partition

    def offset(self) -> int:
        """Return the position in that partition."""
        return self.letter.offset

    def key(self) -> bytes | None:
        """Return the key of the event's record."""
        return self.letter.key

    def value(self) -> bytes | None:
        """Return the body; None is a tombstone."""
        return self.body

    def headers(self) -> list[tuple[str, bytes | None]]:
        """Return the headers of the event's record."""
        return self.event_headers

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of the timestamp, and when the event was stored in its stream."""
        return APPEND_TIME, self.letter.stored_ms


class LetterReader:
    """Reads letters of a subscription. Use it in a `with`, from one thread.

    Args:
        settings: which cluster and tenant.
        subscription: whose letters.
    """

    def __init__(self, settings: Settings, subscription: SubscriptionRecord) -> None:
        namespace = settings.namespace
        self._stream_topic = namespace.topic(subscription.stream)
        journal = namespace.journal(subscription.name)
        self._reader = TopicReader(settings, journal, {}, promptly=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def read(self, letters: Iterable[Letter]) -> dict[str, StoredLetter]:
        """Return these letters by their IDs, all at once: their events are in memory.

        One that was written again or removed since it was found may be left out.

        Raises:
            BrokerError: the journal cannot be read.
        """
        wanted: dict[int, dict[int, str]] = {}
        for letter in letters:
            wanted.setdefault(letter.partition, {})[letter.journal_offset] = letter.id
        found = {}
        runs = {partition: _runs(sorted(offsets)) for partition, offsets in wanted.items()}
        for each in zip_longest(*runs.values()):
            near = {one: run for one, run in zip(runs, each, strict=True) if run is not None}
            self._reader.seek({partition: run[0] for partition, run in near.items()})
            ends = {partition: run[-1] + 1 for partition, run in near.items()}
            for record in read_to(self._reader, ends):
                id_ = wanted[record.partition()].get(record.offset())
                if id_ is not None:
                    letter, body, headers = open_letter(record)
                    found[id_] = StoredLetter(letter, self._stream_topic, body, headers)
        return found


def read_letters(
    settings: Settings, subscription: SubscriptionRecord, letters: Sequence[Letter]
) -> dict[str, StoredLetter]:
    """Return letters of a subscription, as `LetterReader.read` does."""
    if not letters:
        return {}
    with LetterReader(settings, subscription) as reader:
        return reader.read(letters)


def _runs(offsets: Sequence[int]) -> list[list[int]]:
    """Return ascending offsets in parts that are worth reading in one go."""
    runs = [[offsets[0]]]
    for offset in offsets[1:]:
        if offset - runs[-1][-1] > _LONGEST_GAP:
            runs.append([])
        runs[-1].append(offset)
    return runs
