"""Which dead letters of a partition are to be handled now; pure."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from platform_events.workers.journal import PartitionJournal

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable

    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.journal import RedriveRequest

_AT_ONCE = 50
"""Letters of a partition that are handled at a time, whose events may have 1 MiB each. More are
taken when half of them are through, since reading them takes a client."""


def stopped_keys(letters: Iterable[Letter]) -> set[Hashable]:
    """Return the keys whose events are parked, because an earlier one failed."""
    return {letter.key for letter in letters if _holds_key(letter)}


def _holds_key(letter: Letter) -> bool:
    return letter.stops_key or letter.status == "parked"


class Redriving:
    """What is being redriven, and which stopped keys are about to go on.

    A key that was stopped goes on when all its letters are through, in their order; those that were
    parked meanwhile are among them. Each change is looked at once: there may be any number of
    letters.
    """

    def __init__(self) -> None:
        self._journal = PartitionJournal(-1)
        """The fold as it was looked at last."""
        self._holding: dict[Hashable, set[str]] = {}
        """Letters of the fold that hold a key, by that."""
        self._key_of: dict[str, Hashable] = {}
        """The same the other way round."""
        self._pending: Counter[Hashable] = Counter()
        """How many letters of a key are under way, or written and not folded."""
        self._waiting: list[tuple[int, str]] = []
        """Letters that may be due, by offset; a heap."""
        self._changed: set[str] = set()
        """Letters that are to be looked at again, whether or not the fold has news of them."""
        self._under_way: dict[str, Letter] = {}
        self._resuming: set[Hashable] = set()
        self._freed: set[Hashable] = set()
        """Keys that may have no letters any more."""
        self._posted: dict[str, Letter] = {}
        """Letters that hold keys, and were written and not folded yet."""
        self._ended: dict[str, int] = {}
        """Letters that are through at this version, and which the fold may still have."""
        self._dropped: dict[str, RedriveRequest] = {}
        """Requests that are being removed, and which the fold still has."""
        self._refused: list[str] = []

    @property
    def is_under_way(self) -> bool:
        """Whether letters are being handled, or a stopped key is about to go on."""
        return bool(self._under_way or self._resuming or self._waiting)

    def begin_anew(self) -> None:
        """Forget what is under way: the position was moved, and its outcome counts no more.

        What was written stays known.
        """
        self._journal = PartitionJournal(-1)
        self._under_way.clear()
        self._waiting.clear()
        self._resuming.clear()
        self._pending = Counter(letter.key for letter in self._posted.values())

    def look(self, journal: PartitionJournal, stopped: Collection[Hashable]) -> None:
        """Take what is new in the journal.

        Args:
            journal: of the partition.
            stopped: the keys whose events are parked.
        """
        if journal is not self._journal:
            self._journal = journal
            self._holding.clear()
            self._key_of.clear()
            self._changed.update(journal.letters, journal.requests, self._ended)
            self._freed.update(stopped)
        if journal.changed:
            self._changed |= journal.changed
            journal.changed.clear()
        changed, self._changed = self._changed, set()
        for id_ in changed:
            self._look_at(id_)

    def _look_at(self, id_: str) -> None:
        journal = self._journal
        letter, request = journal.letters.get(id_), journal.requests.get(id_)
        self._index(id_, letter)
        if id_ in self._ended and (letter is None or letter.version > self._ended[id_]):
            del self._ended[id_]
        posted = self._posted.get(id_)
        if posted is not None and (letter is None or letter.version >= posted.version):
            del self._posted[id_]
            self._release(posted.key)
        if id_ in self._dropped and self._dropped[id_] != request:
            del self._dropped[id_]
        if letter is not None and (request is not None or letter.key in self._resuming):
            heappush(self._waiting, (letter.offset, id_))
        is_busy = id_ in self._under_way or id_ in self._ended
        if request is not None and not is_busy and journal.requested(id_) is None:
            self._refuse(id_)

    def _index(self, id_: str, letter: Letter | None) -> None:
        """Note whether a letter holds its key."""
        if id_ in self._key_of:
            key = self._key_of.pop(id_)
            self._holding[key].discard(id_)
            if not self._holding[key]:
                del self._holding[key]
                self._freed.add(key)
        if letter is not None and _holds_key(letter):
            self._key_of[id_] = letter.key
            self._holding.setdefault(letter.key, set()).add(id_)

    def choose(self, stopped: Collection[Hashable]) -> list[Letter]:
        """Return the letters that are to be handled next, in the order of their events.

        Args:
            stopped: the keys whose events are parked.
        """
        room = _AT_ONCE - len(self._under_way)
        if room < _AT_ONCE / 2:
            return []
        letters: list[Letter] = []
        while self._waiting and len(letters) < room:
            _, id_ = heappop(self._waiting)
            letter = self._due(id_, stopped)
            if letter is not None:
                letters.append(letter)
                self._under_way[id_] = letter
                self._pending[letter.key] += 1
        return sorted(letters, key=lambda letter: letter.offset)

    def _due(self, id_: str, stopped: Collection[Hashable]) -> Letter | None:
        """Return a letter if it is to be handled now."""
        letter = self._journal.letters.get(id_)
        if letter is None or id_ in self._under_way or id_ in self._ended:
            return None
        if _holds_key(letter) and letter.key in self._resuming:
            return letter
        if id_ in self._dropped or self._journal.requested(id_) is None:
            return None
        if _holds_key(letter) and letter.key in stopped:
            # Its turn comes, after those before it.
            self.resume(letter.key)
            return None
        return letter

    def resume(self, key: Hashable) -> None:
        """Let a stopped key go on when all its letters are through."""
        self._resuming.add(key)
        self._freed.add(key)
        for id_ in self._holding.get(key, ()):
            heappush(self._waiting, (self._journal.letters[id_].offset, id_))

    def refused(self) -> list[str]:
        """Return requests that are to be removed.

        They are for no letter, or for one as it is no more, or their key was stopped again.
        """
        refused, self._refused = self._refused, []
        return refused

    def _refuse(self, id_: str) -> None:
        if id_ not in self._dropped:
            self._drop(id_)
            self._refused.append(id_)

    def _drop(self, id_: str) -> None:
        request = self._journal.requests.get(id_)
        if request is not None:
            self._dropped[id_] = request

    def has_posted(self, id_: str) -> bool:
        """Whether a letter that holds its key was written, and the fold does not have it yet."""
        return id_ in self._posted

    def post(self, letter: Letter) -> None:
        """Note that a letter was written: the fold comes to know it later."""
        if _holds_key(letter):
            if letter.id not in self._posted:
                self._pending[letter.key] += 1
            self._posted[letter.id] = letter
        if letter.stops_key and letter.key in self._resuming:
            self._resuming.discard(letter.key)
            # They were asked for before it was known that the key fails still.
            for id_ in self._holding.get(letter.key, ()):
                is_free = id_ not in self._under_way and id_ not in self._ended
                if is_free and id_ in self._journal.requests:
                    self._refuse(id_)

    def keep(self, letter: Letter) -> None:
        """Note that what became of a letter is being written, whenever it was chosen."""
        if letter.id not in self._under_way:
            self._under_way[letter.id] = letter
            self._pending[letter.key] += 1

    def end(self, letter: Letter) -> None:
        """Note that a letter as it was is no more: handled and removed, or written again."""
        self._leave(letter)
        self._ended[letter.id] = letter.version
        # The fold may have the news already.
        self._changed.add(letter.id)

    def let_go(self, letter: Letter) -> None:
        """Note that a letter was not handled, since its key was stopped again."""
        self._leave(letter)
        self._drop(letter.id)
        self._resuming.discard(letter.key)

    def put_back(self, letters: Iterable[Letter]) -> None:
        """Note that letters could not be read: they are chosen again."""
        for letter in letters:
            self._leave(letter)
            heappush(self._waiting, (letter.offset, letter.id))

    def _leave(self, letter: Letter) -> None:
        if self._under_way.pop(letter.id, None) is not None:
            self._release(letter.key)

    def _release(self, key: Hashable) -> None:
        self._pending[key] -= 1
        if not self._pending[key]:
            del self._pending[key]
        self._freed.add(key)

    def through(self, stopped: Collection[Hashable]) -> list[Hashable]:
        """Return stopped keys of which no letter is left."""
        freed, self._freed = self._freed, set()
        through = [key for key in freed if key not in self._holding and key not in self._pending]
        self._resuming.difference_update(through)
        return [key for key in through if key in stopped]
