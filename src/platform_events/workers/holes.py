"""What a commit says of a partition: its offset, and in its metadata what is done above that.

The text is `1;topic;generation;low-high;running;failing;`, `!` while dead letters cannot be
written, then `R` and runs or `B` and a bitmap, in base85. Runs are pairs of varints from `low` on:
how many are done, how many are not. The bitmap has a 1 for each offset that is not. After the last
hole told all is done, up to `high`.

`low` is the committed offset once more: tools that copy positions to another cluster translate
the offset and keep its metadata, and there the same text would skip events that nobody handled.

`topic` begins the UUID of the topic that the offset is one of. Kafka forgets a group's offsets with
their topic, but what is committed a moment later counts for the next topic of that name.
"""

from __future__ import annotations

import re
from base64 import b85decode, b85encode
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_METADATA = 4_095
"""Characters that a broker takes, unless its `offset.metadata.max.bytes` says otherwise."""
_HEAD = 95
"""Characters for what comes before the runs or the bitmap. That it does not change with the
numbers lets what fitted into one commit fit into the next. It leaves 25,600 bits."""
_MOST_HOLES = 1_000_000
"""More are not told: it bounds what a text may claim to hold, and so the memory to read it."""
_TAG = 8
"""Characters of a topic's UUID: 48 bits."""
_FORM = re.compile(
    r"1;([^;]{0,8});(\d{1,19});(\d{1,19})-(\d{1,19});(\d{1,19});(\d{1,19});(!?)([RB])(.*)", re.ASCII
)
_ONE = ord("1")


@dataclass(frozen=True, slots=True)
class Saved:
    """What the metadata of a committed offset says. All before that offset is done."""

    generation: int = 0
    """Of the last control that was applied."""
    high: int = 0
    """Everything from the committed offset up to here is done, except the holes."""
    running: int = 0
    """Handlers that ran when it was written."""
    failing: int = 0
    """Keys that failed when it was written."""
    holes: tuple[int, ...] = ()
    """Offsets that are not done, ascending."""
    is_known: bool = True
    """False if the text is of an unknown version or form, or was written for another offset. Then
    nothing from the committed offset on counts as done."""
    topic: str = ""
    """What `topic_tag` says of its topic; empty if that is not known."""
    is_stuck: bool = False
    """Whether dead letters could not be written then."""

    def is_of(self, topic_id: str) -> bool:
        """Whether it may be about the topic with this UUID."""
        return not self.topic or self.topic == topic_tag(topic_id)


def topic_tag(topic_id: str) -> str:
    """Return by what metadata knows a topic.

    Args:
        topic_id: its UUID, as Kafka writes it.
    """
    return topic_id[:_TAG]


def encode(low: int, saved: Saved, room: int = LONGEST_METADATA) -> tuple[str, int]:
    """Return metadata for a commit, as much as fits, and the offset up to which it tells.

    That offset is `saved.high` if all fits. What a text told fits into any later one.

    Args:
        low: the offset that is committed.
        saved: what to tell; its holes are ascending and within [low, saved.high).
        room: the most characters of the text; 95 are needed for what is always told.
    """
    holes = saved.holes[:_MOST_HOLES] if len(saved.holes) > _MOST_HOLES else saved.holes
    kind, data, told = _encode_holes(low, holes, room - _HEAD)
    high = saved.holes[told] if told < len(saved.holes) else saved.high
    head = f"1;{saved.topic};{saved.generation};{low}-{high};{saved.running};{saved.failing};"
    return f"{head}{'!' * saved.is_stuck}{kind}{b85encode(data).decode()}", high


def decode(low: int, text: str) -> Saved:
    """Return what the metadata of an offset says. It never raises.

    Args:
        low: the committed offset.
        text: its metadata; an empty one says that nothing is done from there on.
    """
    if not text:
        return Saved(high=low)
    form = _FORM.fullmatch(text)
    if form is None:
        return Saved(high=low, is_known=False)
    generation, start, high, running, failing = map(int, form.groups()[1:6])
    read = _decode_runs if form[8] == "R" else _decode_bits
    try:
        holes = read(low, high, b85decode(form[9])) if start == low <= high else None
    except ValueError:
        holes = None
    if holes is None:
        return Saved(generation, low, is_known=False)
    return Saved(generation, high, running, failing, holes, topic=form[1], is_stuck=bool(form[7]))


def _encode_holes(low: int, holes: Sequence[int], room: int) -> tuple[str, bytes, int]:
    """Return which form tells more in so many characters, its bytes, and how many holes it tells.

    If both tell as much, it is the shorter one.
    """
    if not holes:
        return "R", b"", 0
    # Base85 makes five characters of four bytes, and one more than there are of a rest.
    most = max(room // 5 * 4 + max(room % 5 - 1, 0), 0)
    told_by_bits = bisect_left(holes, low + 8 * most)
    size = (holes[told_by_bits - 1] - low) // 8 + 1 if told_by_bits else 0
    runs, told_by_runs = _encode_runs(low, holes, size if told_by_bits == len(holes) else most)
    if told_by_runs >= told_by_bits:
        return "R", runs, told_by_runs
    return "B", _encode_bits(low, holes[:told_by_bits], size), told_by_bits


def _encode_bits(low: int, holes: Sequence[int], size: int) -> bytes:
    digits = bytearray(b"0") * (8 * size)
    for hole in holes:
        digits[hole - low] = _ONE
    return int(digits, 2).to_bytes(size, "big")


def _encode_runs(low: int, holes: Sequence[int], most: int) -> tuple[bytes, int]:
    data = bytearray()
    offset, told, count = low, 0, len(holes)
    while told < count:
        hole = holes[told]
        end = told + 1
        if end < count and holes[end] == hole + 1:
            end = _run_end(holes, end)
        size = len(data)
        if hole - offset < 0x80 and end - told < 0x80:
            data.append(hole - offset)
            data.append(end - told)
        else:
            _append_varint(data, hole - offset)
            _append_varint(data, end - told)
        if len(data) > most:
            del data[size:]
            break
        offset, told = hole + end - told, end
    return bytes(data), told


def _run_end(holes: Sequence[int], at: int) -> int:
    """Return the index after the last of the holes that follow the one at `at` without a gap.

    It looks in steps that double, then between the last two: few of many holes.
    """
    first = holes[at] - at
    end, step = at + 1, 1
    while end < len(holes) and holes[end] - end == first:
        at, end, step = end, end + step, 2 * step
    if end == at + 1:
        return end
    end = min(end, len(holes))
    return bisect_right(range(end), first, at, key=lambda index: holes[index] - index)


def _append_varint(data: bytearray, number: int) -> None:
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)


def _decode_bits(low: int, high: int, data: bytes) -> tuple[int, ...]:
    digits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"
    holes = tuple(low + at for at, digit in enumerate(digits) if digit == "1")
    if holes and holes[-1] >= high:
        raise ValueError
    return holes


def _decode_runs(low: int, high: int, data: bytes) -> tuple[int, ...]:
    numbers = [*_varints(data)]
    holes: list[int] = []
    offset = low
    for done, count in zip(numbers[::2], numbers[1::2], strict=True):
        start, offset = offset + done, offset + done + count
        if offset > high or len(holes) + count > _MOST_HOLES:
            raise ValueError
        holes += range(start, offset)
    return tuple(holes)


def _varints(data: bytes) -> Iterator[int]:
    number, shift = 0, 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number, shift = 0, 0
    if shift:
        raise ValueError
