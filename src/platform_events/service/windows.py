"""What subscribers of one stream read: contiguous runs of its encoded events; pure.

A subscriber is a cursor: an index into a window, or, in none, a place in the stream. It goes from
one window to another where both have the same place, which is found by offsets; so windows need
not know each other, and nothing is lost or doubled however they come and go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from platform_events.replay import ReplayId
    from platform_events.service.blocks import Block

MOST_EVENTS = 20_000
MOST_BYTES = 4 * 1024 * 1024
"""What a window has; a cursor that is further behind is let go."""
AHEAD_EVENTS = 4_000
AHEAD_BYTES = 1024 * 1024
"""How far a window is read before its fastest cursor."""
KEPT_EVENTS = 4_000
KEPT_BYTES = 1024 * 1024
"""What a window keeps behind its slowest cursor, for those who come."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream is read on."""

    offsets: tuple[int, ...]
    """The next of each partition."""
    time_ms: int = 0
    """A time from which reading on misses nothing, ms since the epoch; 0 in a stream of one
    partition."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Events for one response."""

    encoded: list[bytes]
    count: int
    replay_id: ReplayId
    """Of the last."""


class Cursor:
    """How far one subscriber is.

    Args:
        place: where it begins.
        wake: is called when there may be something to do.
    """

    __slots__ = ("_place", "block", "index", "wake", "window")

    def __init__(self, place: Place, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.window: Window | None = None
        """None: it has to be placed before it can read on."""
        self.block = 0
        """Number of the block that it reads, which may be the next to come."""
        self.index = 0
        """Of the next event in that."""
        self._place = place

    @property
    def place(self) -> Place:
        """Where it reads on."""
        return self._place if self.window is None else self.window.place(self.block, self.index)

    @property
    def is_stranded(self) -> bool:
        """Whether nothing more comes where it is, so that it has to be placed elsewhere."""
        window = self.window
        return window is None or (not window.is_fed and self.block == window.next_block)

    @property
    def is_lost(self) -> bool:
        """Whether it is stranded because the log no longer had its place, or not yet."""
        return self.window is not None and self.window.is_lost and self.is_stranded

    def take(self, events: int, size: int) -> Taken | None:
        """Return what comes next and go on after it; None if nothing is there.

        Args:
            events: how many at most.
            size: how many bytes at most; one event is returned whatever it has.
        """
        return None if self.window is None else self.window.take(self, events, size)

    def leave(self) -> None:
        """Be in no window, at the same place."""
        if self.window is not None:
            self._place = self.place
            self.window.cursors.discard(self)
            self.window = None

    def move(self, place: Place) -> None:
        """Be in no window, at another place."""
        self.leave()
        self._place = place


class Window:
    """A contiguous run of a stream's blocks, and the cursors in it.

    Args:
        place: where it begins.
    """

    def __init__(self, place: Place) -> None:
        self.end = place
        """What is appended next begins here."""
        self.cursors: set[Cursor] = set()
        self.is_fed = True
        """Whether anything more is appended."""
        self.is_lost = False
        """Whether nothing is because the log does not have the end."""
        self.is_live = False
        """Whether it is fed with what is newest."""
        self.is_dropped = False
        """Whether nobody reads in it any more."""
        self._start = place.offsets
        self._blocks: list[Block] = []
        self._first = 0
        """Number of the first block that is kept."""
        self._events = [0]
        """How many were appended before each block that is kept, and altogether."""
        self._bytes = [0]

    @property
    def next_block(self) -> int:
        """Number of the block that is appended next."""
        return self._first + len(self._blocks)

    def append(self, blocks: Sequence[Block], end: Place) -> None:
        """Add what follows; let cursors go that are too far behind, and wake the others.

        Args:
            blocks: in order.
            end: where to read on after them.
        """
        before = len(self._blocks)
        for block in blocks:
            self._blocks.append(block)
            self._events.append(self._events[-1] + len(block.offsets))
            self._bytes.append(self._bytes[-1] + block.size)
        self.end = end
        self._trim(before)
        if blocks:
            for cursor in self.cursors:
                cursor.wake()

    def stop(self, *, is_lost: bool = False) -> None:
        """Have nothing more appended."""
        self.is_fed = False
        self.is_lost = is_lost
        for cursor in self.cursors:
            cursor.wake()

    def enter(self, cursor: Cursor, at: tuple[int, int]) -> None:
        """Take a cursor in, at a block's number and an event's index; see `find`."""
        cursor.leave()
        cursor.block, cursor.index = at
        cursor.window = self
        self.cursors.add(cursor)

    def find(self, place: Place) -> tuple[int, int] | None:
        """Return where a place is: the next event's block and index; None if it is not here.

        Every event before it lies before the place in its partition, every later one at or after
        it. Offsets of no event, such as those of transaction markers, make no difference.
        """
        wanted = place.offsets
        if len(wanted) != len(self._start) or not all(
            start <= offset <= end
            for start, offset, end in zip(self._start, wanted, self.end.offsets, strict=True)
        ):
            return None
        at = None
        # In one partition all that comes after the first that is not before the place is after it.
        first = 0 if len(wanted) > 1 else self._first_reaching(wanted[0])
        for number in range(first, len(self._blocks)):
            block = self._blocks[number]
            below = block.below(wanted[block.run.partition])
            if at is not None:
                if below:
                    return None
            elif below < len(block.offsets):
                at = number, below
                if len(wanted) == 1:
                    break
        time_ms = self.end.time_ms if at is None else self._blocks[at[0]].run.time_ms
        if len(wanted) > 1 and time_ms < place.time_ms:
            # Times in replay IDs never go back.
            return None
        return (self.next_block, 0) if at is None else (self._first + at[0], at[1])

    def is_short_for(self, cursor: Cursor) -> bool:
        """Whether little is left for a cursor, so that more should be read."""
        at = cursor.block - self._first
        return (
            self._events[-1] - self._events[at] - cursor.index < AHEAD_EVENTS
            and self._bytes[-1] - self._bytes[at] < AHEAD_BYTES
        )

    @property
    def is_short(self) -> bool:
        """Whether little is left for the fastest cursor."""
        return any(map(self.is_short_for, self.cursors))

    def place(self, number: int, index: int) -> Place:
        """Return the place of an event of a block, or of a block that is yet to come."""
        if number == self.next_block:
            return self.end
        block = self._blocks[number - self._first]
        run = block.run
        offsets = list(run.offsets)
        if index:
            offsets[run.partition] = block.offsets[index - 1] + 1
        return Place(tuple(offsets), run.time_ms if len(offsets) > 1 else 0)

    def take(self, cursor: Cursor, events: int, size: int) -> Taken | None:
        """See `Cursor.take`."""
        encoded: list[bytes] = []
        count = 0
        last: tuple[Block, int] | None = None
        while count < events and cursor.block < self.next_block:
            block = self._blocks[cursor.block - self._first]
            begin = block.ends[cursor.index - 1] if cursor.index else 0
            until = min(len(block.offsets), cursor.index + events - count)
            if block.ends[until - 1] - begin > size:
                until = bisect_right(block.ends, begin + size, cursor.index, until)
                if until == cursor.index:
                    if count:
                        break
                    until += 1
            end = block.ends[until - 1]
            encoded.append(block.encoded[begin:end])
            last = block, until - 1
            count += until - cursor.index
            size -= end - begin
            if until == len(block.offsets):
                cursor.block, cursor.index = cursor.block + 1, 0
            else:
                cursor.index = until
        if last is None:
            return None
        block, index = last
        return Taken(encoded, count, block.run.replay_id(block.offsets[index]))

    def _first_reaching(self, offset: int) -> int:
        """Return the index of the first block, of one partition, that reaches an offset."""
        return bisect_left(self._blocks, offset, key=lambda block: block.offsets[-1])

    def _trim(self, old: int) -> None:
        """Drop what is too much of the blocks that were there before: those in them had time."""
        keep = 0
        while keep < old and (
            self._events[-1] - self._events[keep] > MOST_EVENTS
            or self._bytes[-1] - self._bytes[keep] > MOST_BYTES
        ):
            keep += 1
        first = self._first + keep
        for cursor in [one for one in self.cursors if one.block < first]:
            cursor.leave()
            cursor.wake()
        slowest = min((one.block for one in self.cursors), default=self.next_block) - self._first
        while keep < slowest and (
            self._events[slowest] - self._events[keep] > KEPT_EVENTS
            or self._bytes[slowest] - self._bytes[keep] > KEPT_BYTES
        ):
            keep += 1
        if keep:
            self._start = self.place(self._first + keep, 0).offsets
            del self._blocks[:keep], self._events[:keep], self._bytes[:keep]
            self._first += keep


class Windows:
    """The windows of one stream."""

    def __init__(self) -> None:
        self._windows: list[Window] = []

    def __iter__(self) -> Iterator[Window]:
        return iter(list(self._windows))

    def join(self, cursor: Cursor) -> bool:
        """Put a cursor that is stranded into a window with its place; return whether one has it."""
        place = cursor.place
        for window in sorted(self._windows, key=attrgetter("is_fed"), reverse=True):
            at = window.find(place)
            if at is not None and (window.is_fed or at[0] < window.next_block):
                window.enter(cursor, at)
                return True
        return False

    def join_end(self, cursor: Cursor, ends: Sequence[int]) -> bool:
        """Put a cursor to a live window's end if that has reached these offsets, or return False.

        It is for one who begins with the latest: its place is the end, no matter which.
        """
        for window in self._windows:
            if window.is_live and window.is_fed and _has_reached(window.end, ends):
                window.enter(cursor, (window.next_block, 0))
                return True
        return False

    def is_near(self, ends: Sequence[int]) -> bool:
        """Whether a live window that is read on may soon reach these offsets."""
        return any(
            window.is_live
            and window.is_fed
            and window.is_short
            and len(ends) == len(window.end.offsets)
            for window in self._windows
        )

    def open(self, cursor: Cursor) -> Window:
        """Put a cursor into a window that begins at its place."""
        window = Window(cursor.place)
        window.enter(cursor, (0, 0))
        self._windows.append(window)
        return window

    def superfluous(self, window: Window) -> Window | None:
        """Return one that need not be fed any more, now that this was: another has what follows.

        It is this one, or the other where both have the same end and this one is live.
        """
        for other in self._windows:
            if other is window or not other.is_fed or not window.is_fed:
                continue
            at = other.find(window.end)
            if at is not None:
                is_same_end = at[0] == other.next_block and window.find(other.end) is not None
                return other if is_same_end and window.is_live and not other.is_live else window
        return None

    def drop(self, window: Window) -> None:
        """Forget a window; its cursors have left it."""
        window.is_fed, window.is_dropped = False, True
        self._windows.remove(window)


def _has_reached(place: Place, ends: Sequence[int]) -> bool:
    return len(place.offsets) == len(ends) and all(map(int.__ge__, place.offsets, ends))
