"""The dead letters of a subscription: to look at, to handle after all, to throw away."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from platform_events.names import check_subscription, is_channel_name, stream_name
from platform_events.workers.dead_letter import letter_tombstone, unknown_letter
from platform_events.workers.journal import RedriveRequest, redrive_record, redrive_tombstone
from platform_events.workers.letter_reader import LetterReader
from platform_events.workers.letter_view import LetterDecoder
from platform_events.workers.log import JournalWriter, load, subscription_in
from platform_events.workers.router_letters import show_router_letters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from platform_events.bus.bus import EventBus
    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.journal import PartitionJournal
    from platform_events.workers.letter_view import LetterFilter, ShownLetter, ShownStatus

_AT_ONCE = 50
"""Letters read at once, whose events may have 1 MiB each."""
_UNSETTLED = 500
"""Requests under way at once."""
_logger = logging.getLogger("platform_events")


def show_letters(bus: EventBus, name: str, wanted: LetterFilter) -> Iterator[ShownLetter]:
    """Yield dead letters of a subscription, or of a channel, in the order of their events.

    Args:
        bus: of the tenant.
        name: the subscription's or the channel's.
        wanted: which ones.

    Raises:
        UnknownLetterError: an ID that is asked for is none.
        UnknownSubscriptionError, UnknownStreamError: there is nothing of that name.
        BrokerError: the cluster cannot be asked.
    """
    if is_channel_name(name.removeprefix("/event/")):
        yield from show_router_letters(bus, stream_name(name), wanted)
    else:
        letters = SubscriptionLetters(bus, name)
        yield from letters.show(letters.select(wanted))


def index_letters(
    bus: EventBus, name: str, wanted: LetterFilter
) -> list[tuple[Letter, ShownStatus]]:
    """Return the same without events and tracebacks, and how each is doing."""
    if is_channel_name(name.removeprefix("/event/")):
        shown = show_router_letters(bus, stream_name(name), wanted)
        return [(one.letter, one.status) for one in shown]
    letters = SubscriptionLetters(bus, name)
    return [(letter, letters.status(letter)) for letter in letters.select(wanted)]


class SubscriptionLetters:
    """The dead letters of a subscription as they are when this is made.

    Args:
        bus: of the tenant.
        name: the subscription's.

    Raises:
        UnknownSubscriptionError: there is no such subscription.
        SubscriptionConflictError: a newer version made it.
        UsageError: `name` cannot name a subscription.
        BrokerError: the journal cannot be read.
    """

    def __init__(self, bus: EventBus, name: str) -> None:
        self._bus = bus
        self._topic = bus.settings.namespace.journal(check_subscription(name))
        self._journals = self._load()
        self._subscription = subscription_in(name, self._journals)
        for journal in self._journals:
            for text in journal.unreadable:
                _logger.warning("journal of subscription %s: %s", name, text)

    def select(self, wanted: LetterFilter) -> list[Letter]:
        """Return letters in the order of their events in each partition.

        Raises:
            UnknownLetterError: an ID that is asked for is none.
        """
        found = {id_: one for journal in self._journals for id_, one in journal.letters.items()}
        for id_ in wanted.ids:
            if id_ not in found:
                raise unknown_letter(id_, f"subscription {self._subscription.name}")
        chosen = [found[id_] for id_ in wanted.ids] if wanted.ids else found.values()
        return sorted(
            {letter.id: letter for letter in chosen if wanted.passes(letter)}.values(),
            key=lambda letter: (letter.partition, letter.offset),
        )

    def status(self, letter: Letter) -> ShownStatus:
        """Return how a letter is doing."""
        is_requested = self._journals[letter.partition].requested(letter.id) is not None
        return "redriving" if is_requested else letter.status

    def show(self, letters: Sequence[Letter]) -> Iterator[ShownLetter]:
        """Yield letters with their events, as they were when this was made.

        Those that were written again or removed since may be left out.

        Raises:
            BrokerError: the journal cannot be read, or a schema not be asked for.
        """
        subscription = self._subscription
        decoder = LetterDecoder(self._bus, subscription.stream, subscription.topic_id)
        if not letters:
            return
        with LetterReader(self._bus.settings, subscription) as reader:
            for begin in range(0, len(letters), _AT_ONCE):
                piece = letters[begin : begin + _AT_ONCE]
                stored = reader.read(piece)
                for letter in piece:
                    if letter.id in stored:
                        yield decoder.show(
                            stored[letter.id], subscription.name, self.status(letter)
                        )

    def redrive(self, letters: Iterable[Letter], rate: float | None = None) -> Iterator[Letter]:
        """Ask for letters to be handled after all; yield those that were asked for.

        Each is meant as it is now: what fails again in the meantime needs another request. Those
        that are being redriven are left out.

        Args:
            letters: which, in the order in which they are to be handled.
            rate: how many a second at most; None: any number.

        Raises:
            BrokerError: a request was not written, or may not have been.
        """
        due = time.monotonic()
        with self._writing() as writer:
            unsettled: list[Letter] = []
            for letter in letters:
                if self.status(letter) == "redriving":
                    continue
                request = RedriveRequest(letter.id, letter.version, time.time_ns() // 1_000_000)
                writer.write(letter.partition, redrive_record(request))
                unsettled.append(letter)
                if rate is not None or len(unsettled) >= _UNSETTLED:
                    writer.flush()
                    yield from unsettled
                    unsettled = []
                if rate is not None:
                    due += 1 / rate
                    time.sleep(max(0.0, due - time.monotonic()))
            writer.flush()
            yield from unsettled

    def discard(self, letters: Iterable[Letter]) -> list[Letter]:
        """Throw letters away, with their events, and return which.

        Those that were written again since this was made, or are gone, are left as they are.

        Raises:
            BrokerError: not all that were to go are gone; do it again.
        """
        journals = self._load()
        discarded = []
        with self._writing() as writer:
            for letter in letters:
                present = journals[letter.partition].letters.get(letter.id)
                if present is not None and present.version == letter.version:
                    writer.write(letter.partition, redrive_tombstone(letter.id))
                    writer.write(letter.partition, letter_tombstone(letter.id))
                    discarded.append(letter)
            writer.flush()
        return discarded

    def _load(self) -> list[PartitionJournal]:
        return load(self._bus.settings, self._bus.admin, self._topic)

    @contextmanager
    def _writing(self) -> Iterator[JournalWriter]:
        writer = JournalWriter(self._bus.clients.producer, self._topic)
        try:
            yield writer
        finally:
            writer.close(self._bus.settings.close_timeout)
