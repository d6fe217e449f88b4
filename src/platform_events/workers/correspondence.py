"""Dead letters on their way: into the journal, and back to handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from platform_events.workers.desk import Desk
    from platform_events.workers.ground import Ground
    from platform_events.workers.lanes import Item, Lanes
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
        desk, ground = self._desk, self._ground
        while desk.letters:
            item, failure, settled = desk.letters.popleft()
            owned = self._owned.get(item.assignment.partition)
            # What is another's by now, or comes again after a seek, is not for this one to judge.
            if owned is not None and (owned.assignment is item.assignment or item.letter):
                letter = ground.post_letter(item, failure, self._when_stored(item, settled))
                owned.redriving.post(letter)
        while desk.redriven:
            item, letter = desk.redriven.popleft()
            ground.remove_letter(letter, self._when_stored(item, is_handled=True))
        while desk.let_go:
            item, letter, settled = desk.let_go.popleft()
            owned = self._owned.get(letter.partition)
            if owned is not None:
                owned.redriving.let_go(letter)
            ground.drop_request(letter.partition, letter.id)
            self._loop.call_soon_threadsafe(settled)

    def redrive(self, owned: OwnedPartition) -> None:
        """Hand on the events of dead letters that are to be handled after all."""
        journal, assignment = self._ground.reader.journal(owned.number), owned.assignment
        for id_ in owned.redriving.refused(journal):
            self._ground.drop_request(owned.number, id_)
        letters = owned.redriving.choose(journal, assignment.stopped)
        if letters:
            items: list[Item] = []
            try:
                items += self._ground.load_letters(letters, assignment)
            finally:
                loaded = {item.letter.id for item in items if item.letter is not None}
                for letter in letters:
                    if letter.id not in loaded:
                        # It was discarded meanwhile, or could not be read.
                        owned.redriving.let_go(letter)
            self._loop.call_soon_threadsafe(self._lanes.redrive, assignment, items)
        for key in owned.redriving.through(journal):
            self._loop.call_soon_threadsafe(self._lanes.let_key_go, assignment, key)

    def _when_stored(
        self, item: Item, settled: Callable[[], None] | None = None, *, is_handled: bool = False
    ) -> Callable[[], None]:
        """Return what is to be done when what became of an event is in the journal."""

        def done() -> None:
            owned = self._owned.get(item.assignment.partition)
            if owned is not None:
                owned.settle(item)
                if item.letter is not None:
                    owned.redriving.end(item.letter, is_handled=is_handled)
                    self.redrive(owned)
            if settled is not None:
                self._loop.call_soon_threadsafe(settled)

        return done
