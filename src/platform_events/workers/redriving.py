"""Which dead letters of a partition are to be handled now; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable

    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.journal import PartitionJournal

_AT_ONCE = 200
"""Letters of a partition that are handled at a time. More are taken when half of them are through,
since reading them takes a client."""


def stopped_keys(letters: Iterable[Letter]) -> set[Hashable]:
    """Return the keys whose events are parked, because an earlier one failed."""
    return {letter.key for letter in letters if _holds_key(letter)}


def _holds_key(letter: Letter) -> bool:
    return letter.stops_key or letter.status == "parked"


class Redriving:
    """What is being redriven, and which stopped keys are about to go on.

    A key that was stopped goes on when all its letters are through, in their order; those that were
    parked meanwhile are among them.
    """

    def __init__(self) -> None:
        self._under_way: set[str] = set()
        self._resuming: set[Hashable] = set()
        self._posted: dict[str, Hashable] = {}
        """Letters of stopped keys that were written and may not be folded yet, with their keys."""
        self._ended: dict[str, int] = {}
        """Letters that are through at this version, and which the fold may still have."""
        self._dropped: set[str] = set()
        """Letters that stay as they are, and of which the fold may still have the request."""

    @property
    def is_under_way(self) -> bool:
        """Whether letters are being handled, or a stopped key is about to go on."""
        return bool(self._under_way or self._resuming)

    def choose(self, journal: PartitionJournal, stopped: Collection[Hashable]) -> list[Letter]:
        """Return the letters that are to be handled next, in the order of their events.

        Args:
            journal: of the partition.
            stopped: the keys whose events are parked.
        """
        self._forget_ended(journal)
        room = _AT_ONCE - len(self._under_way)
        if room < _AT_ONCE / 2:
            return []
        chosen: dict[str, Letter] = {}
        for id_ in journal.requests.keys() - self._dropped:
            letter = journal.requested(id_)
            if letter is not None and _holds_key(letter) and letter.key in stopped:
                self._resuming.add(letter.key)
            elif letter is not None:
                chosen[id_] = letter
        if self._resuming:
            chosen |= {
                letter.id: letter
                for letter in journal.letters.values()
                if letter.key in self._resuming and _holds_key(letter)
            }
        waiting = [
            letter
            for letter in chosen.values()
            if letter.id not in self._under_way and letter.id not in self._ended
        ]
        letters = sorted(waiting, key=lambda letter: letter.offset)[:room]
        self._under_way.update(letter.id for letter in letters)
        return letters

    def refused(self, journal: PartitionJournal) -> list[str]:
        """Return requests that are for no letter, or for one as it is no more."""
        return [
            id_
            for id_ in journal.requests
            if id_ not in self._under_way
            and id_ not in self._dropped
            and id_ not in self._ended
            and journal.requested(id_) is None
        ]

    def post(self, letter: Letter) -> None:
        """Note that a letter was written: the fold comes to know it later."""
        if _holds_key(letter):
            self._posted[letter.id] = letter.key
        if letter.stops_key:
            self._resuming.discard(letter.key)

    def end(self, letter: Letter, *, is_handled: bool) -> None:
        """Note that a letter was handled and removed, or failed and was written again."""
        self._under_way.discard(letter.id)
        self._ended[letter.id] = letter.version
        # Whoever handled it had read it.
        self._posted.pop(letter.id, None)
        if not is_handled:
            self._resuming.discard(letter.key)

    def let_go(self, letter: Letter) -> None:
        """Note that a letter was not handled, since its key was stopped again."""
        self._under_way.discard(letter.id)
        self._dropped.add(letter.id)
        self._resuming.discard(letter.key)

    def _forget_ended(self, journal: PartitionJournal) -> None:
        """Forget letters of which the fold has the news."""
        self._dropped.intersection_update(journal.requests)
        for id_, version in list(self._ended.items()):
            letter = journal.letters.get(id_)
            if letter is None or letter.version > version:
                del self._ended[id_]

    def through(self, journal: PartitionJournal) -> list[Hashable]:
        """Return keys that were stopped, of which no letter is left."""
        if not self._resuming:
            return []
        self._posted = {id_: key for id_, key in self._posted.items() if id_ not in journal.letters}
        held = stopped_keys(journal.letters.values()) | set(self._posted.values())
        through = [key for key in self._resuming if key not in held]
        self._resuming.difference_update(through)
        return through
