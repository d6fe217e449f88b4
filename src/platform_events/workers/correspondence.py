"""Dead letters on their way: into the journal, and back to handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_events.errors import BrokerError
from platform_events.workers.dead_letter import letter_id
from platform_events.workers.policy import Reason

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable

    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.desk import Desk, Settled
    from platform_events.workers.ground import Ground
    from platform_events.workers.lanes import Assignment, Item, Lanes
    from platform_events.workers.outcomes import Failure
    from platform_events.workers.partitions import OwnedPartition


class Correspondence:
    """What a worker writes about events into its journal, and reads out of it again.

    For the thread that talks to Kafka.

    Args:
        ground: has the journal.
        desk: where the event loop leaves what is to be written.
        owned: the partitions of this process, which changes them.
        lanes: get the events that are redriven, in the thread of the loop.
        loop: that event loop.
    """

    def __init__(
        self,
        ground: Ground,
        desk: Desk,
        owned: dict[int, OwnedPartition],
        lanes: Lanes,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._ground = ground
        self._desk = desk
        self._owned = owned
        self._lanes = lanes
        self._loop = loop

    def take(self) -> None:
        """Have written what became of events."""
        desk = self._desk
        while desk.letters:
            self._take_letter(*desk.letters.popleft())
        while desk.redriven:
            item, letter = desk.redriven.popleft()
            owned = self._owned.get(letter.partition)
            if owned is not None:
                owned.redriving.keep(letter)
            self._ground.remove_letter(letter, self._when_stored(item))
        while desk.let_go:
            item, letter, settled = desk.let_go.popleft()
            owned = self._owned.get(letter.partition)
            if owned is not None:
                owned.redriving.let_go(letter)
            self._ground.drop_request(letter.partition, letter.id)
            self._loop.call_soon_threadsafe(settled)
        while desk.outdated:
            found = self._find_letter(desk.outdated.popleft())
            if found is not None:
                self._ground.remove_letter(found)
        while desk.kept:
            assignment, key = desk.kept.popleft()
            owned = self._owned.get(assignment.partition)
            if owned is not None and owned.assignment is assignment:
                owned.redriving.resume(key)

    def _take_letter(self, item: Item, failure: Failure, settled: Settled) -> None:
        """Have an event's dead letter written."""
        owned = self._owned.get(item.assignment.partition)
        # What is another's by now, or comes again after a seek, is not for this one to judge.
        if owned is None or not (owned.assignment is item.assignment or item.letter):
            return
        done = self._when_stored(item, settled)
        if failure.reason is Reason.PARKED and (
            owned.redriving.has_posted(letter_id(owned.number, item.offset))
            or self._find_letter(item) is not None
        ):
            # It came again. The letter that it has may be what stops its key.
            done()
            return
        if item.letter is not None:
            owned.redriving.keep(item.letter)
        owned.redriving.post(self._ground.post_letter(item, failure, done))

    def redrive(self) -> None:
        """Hand on the events of dead letters that are to be handled after all.

        Raises:
            BrokerError: some could not be read; they are still to be handled.
        """
        failure: BrokerError | None = None
        for owned in self._owned.values():
            # Before a seek is through, what runs may still be the same letters.
            if not owned.is_open or owned.begin_at is not None:
                continue
            if not self._ground.reader.is_loaded(owned.number):
                # It is folded anew, and says less than is known.
                continue
            try:
                self._redrive(owned)
            except BrokerError as error:
                # Other partitions have their turn all the same.
                failure = error
        if failure is not None:
            raise failure

    def _redrive(self, owned: OwnedPartition) -> None:
        redriving, assignment = owned.redriving, owned.assignment
        redriving.look(self._ground.reader.journal(owned.number), assignment.stopped)
        letters = redriving.choose(assignment.stopped)
        for id_ in redriving.refused():
            self._ground.drop_request(owned.number, id_)
        for key in redriving.through(assignment.stopped):
            self._loop.call_soon_threadsafe(self._let_key_go, assignment, key)
        if not letters:
            return
        try:
            items = self._ground.load_letters(letters, assignment)
        except BaseException:
            redriving.put_back(letters)
            raise
        loaded = {item.letter.id for item in items if item.letter is not None}
        for letter in letters:
            if letter.id not in loaded:
                # It was discarded meanwhile.
                redriving.end(letter)
        self._loop.call_soon_threadsafe(self._lanes.redrive, assignment, items)

    def _let_key_go(self, assignment: Assignment, key: Hashable) -> None:
        """Let a key go on; in the thread of the loop."""
        if not self._lanes.let_key_go(assignment, key):
            self._desk.kept.append((assignment, key))

    def _find_letter(self, item: Item) -> Letter | None:
        """Return the dead letter that an event has, as far as the journal was read."""
        number = item.assignment.partition
        if number not in self._owned:
            return None
        letters = self._ground.reader.journal(number).letters
        return letters.get(letter_id(number, item.offset)) if letters else None

    def _when_stored(
        self, item: Item, settled: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        """Return what is to be done when what became of an event is in the journal."""

        def done() -> None:
            owned = self._owned.get(item.assignment.partition)
            if owned is not None:
                owned.settle(item)
                if item.letter is not None:
                    owned.redriving.end(item.letter)
            if settled is not None:
                self._loop.call_soon_threadsafe(settled)

        return done
