"""Which dead letters of a partition are to be handled now; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable

    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.journal import PartitionJournal

_AT_ONCE = 200
"""Letters of a partition that are handled at a time."""


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

    def choose(self, journal: PartitionJournal, stopped: Collection[Hashable]) -> list[Letter]:
        """Return the letters that are to be handled next, in the order of their events.

        Args:
            journal: of the partition.
            stopped: the keys whose events are parked.
        """
        chosen: dict[str, Letter] = {}
        for id_ in journal.requests:
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
        room = _AT_ONCE - len(self._under_way)
        waiting = [letter for letter in chosen.values() if letter.id not in self._under_way]
        letters = sorted(waiting, key=lambda letter: letter.offset)[: max(room, 0)]
        self._under_way.update(letter.id for letter in letters)
        return letters

    def refused(self, journal: PartitionJournal) -> list[str]:
        """Return requests that are for no letter, or for one as it is no more."""
        return [
            id_
            for id_ in journal.requests
            if id_ not in self._under_way and journal.requested(id_) is None
        ]

    def post(self, letter: Letter) -> None:
        """Note that a letter was written: the fold comes to know it later."""
        if _holds_key(letter):
            self._posted[letter.id] = letter.key
        if letter.stops_key:
            self._resuming.discard(letter.key)

    def end(self, letter: Letter, *, is_handled: bool) -> None:
        """Note that a letter is not under way any more.

        Args:
            letter: which.
            is_handled: whether it went well; otherwise it is a letter still.
        """
        self._under_way.discard(letter.id)
        # Whoever handled it had read it.
        self._posted.pop(letter.id, None)
        if not is_handled:
            self._resuming.discard(letter.key)

    def through(self, journal: PartitionJournal) -> list[Hashable]:
        """Return keys that were stopped, of which no letter is left."""
        if not self._resuming:
            return []
        self._posted = {id_: key for id_, key in self._posted.items() if id_ not in journal.letters}
        held = stopped_keys(journal.letters.values()) | set(self._posted.values())
        through = [key for key in self._resuming if key not in held]
        self._resuming.difference_update(through)
        return through
