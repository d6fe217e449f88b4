from __future__ import annotations

from base64 import b85encode
from dataclasses import replace
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from platform_events.workers.holes import LONGEST_METADATA, Saved, decode, encode

HEAD = 95
"""Characters that are kept for the numbers."""

offsets = st.integers(0, 2**53)
counts = st.integers(0, 2**31)
topics = st.text("Az09-_+/", max_size=8)
"""Kafka's clients write UUIDs in either alphabet of base64."""


@st.composite
def patterns(draw: st.DrawFn, longest: int = 300) -> tuple[int, Saved]:
    """An offset, and what may be done above it: rows of done offsets and of holes, any of each."""
    low = draw(offsets)
    lengths = st.one_of(st.integers(0, 3), st.integers(0, longest))
    offset, holes = low, []
    for done, count in draw(st.lists(st.tuples(lengths, lengths), max_size=40)):
        offset += done
        holes += range(offset, offset + count)
        offset += count
    high = offset + draw(lengths)
    return low, Saved(
        draw(counts),
        high,
        draw(counts),
        draw(counts),
        tuple(holes),
        topic=draw(topics),
        is_stuck=draw(st.booleans()),
    )


def alternating(count: int, low: int = 1_000) -> Saved:
    """Every second offset is not done, beginning with the first."""
    return Saved(high=low + 2 * count, holes=tuple(range(low, low + 2 * count, 2)))


def random_holes(span: int, share: float, low: int = 1_000) -> Saved:
    random = Random(span)
    holes = [low, *(low + at for at in range(1, span) if random.random() < share)]
    return Saved(high=low + span, holes=tuple(holes))


@given(patterns())
def test_what_is_written_is_read(pattern: tuple[int, Saved]) -> None:
    low, saved = pattern
    text, told = encode(low, saved)
    assert text.isascii()
    assert len(text) <= LONGEST_METADATA
    assert told == saved.high
    assert decode(low, text) == saved


@given(patterns(), st.integers(HEAD, 300))
def test_of_what_does_not_fit_it_tells_the_beginning(pattern: tuple[int, Saved], room: int) -> None:
    low, saved = pattern
    text, told = encode(low, saved, room)
    assert len(text) <= room
    read = decode(low, text)
    assert read.is_known
    assert read.high == told
    assert read.holes == tuple(hole for hole in saved.holes if hole < told)
    # No pattern needs more than a bit an offset, and what is done behind the last hole is free.
    bits = 8 * ((room - HEAD) // 5 * 4)
    assert told == saved.high or (told in saved.holes and told >= low + bits)


@given(patterns(), patterns(), st.integers(HEAD, 200), st.data())
def test_what_was_told_once_fits_again(
    pattern: tuple[int, Saved], other: tuple[int, Saved], room: int, data: st.DataObject
) -> None:
    low, saved = pattern
    _, told = encode(low, saved, room)
    holes = tuple(hole for hole in saved.holes if hole < told)
    first = data.draw(st.sampled_from([0, *range(len(holes))]))
    numbers = other[1]
    later = replace(numbers, high=told, holes=holes[first:])
    assert encode(holes[first] if holes else low, later, room)[1] == told


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 1])
def test_25600_offsets_fit_whatever_the_pattern(share: float) -> None:
    saved = random_holes(25_600, share)
    text, told = encode(1_000, saved)
    assert told == saved.high
    assert decode(1_000, text) == saved


def test_130000_offsets_fit_if_one_in_a_hundred_is_not_done() -> None:
    saved = random_holes(130_000, 0.01)
    text, told = encode(1_000, saved)
    assert told == saved.high
    assert decode(1_000, text) == saved


def test_26000_alternating_holes_fit_in_part() -> None:
    saved = alternating(26_000)
    text, told = encode(1_000, saved)
    assert len(text) <= LONGEST_METADATA
    assert told == 1_000 + 25_600
    read = decode(1_000, text)
    assert read.high == told
    assert read.holes == saved.holes[:12_800]


def test_one_hole_beside_a_million_done_is_short() -> None:
    saved = Saved(high=2_000_000, holes=(1_000_000,))
    text, told = encode(1_000_000, saved)
    assert told == 2_000_000
    assert len(text) < 40


@pytest.mark.parametrize("room", [LONGEST_METADATA, 4_094, 4_093, 4_092, 4_091, 4_090])
def test_the_text_is_never_longer_than_a_broker_takes(room: int) -> None:
    low, failing = 10**15, 10**13
    holes = tuple(range(low, low + 60_000, 2))
    saved = Saved(10**18, low + 60_000, failing // 10, failing, holes, topic="topic-01")
    text, told = encode(low, saved, room)
    # One character alone holds nothing.
    assert len(text) == (4_090 if room == 4_091 else room)
    read = decode(low, text)
    assert (read.high, read.generation, read.failing) == (told, saved.generation, failing)
    assert read.holes == holes[: len(read.holes)]


@pytest.mark.parametrize(
    ("low", "saved", "text"),
    [
        (7, Saved(3, 7, 2, 1), "1;;3;7-7;2;1;R"),
        (7, Saved(3, 9, 2, 1, topic="Az-_09az"), "1;Az-_09az;3;7-9;2;1;R"),
        (7, Saved(3, 9, 2, 1), "1;;3;7-9;2;1;R"),
        (7, Saved(3, 9, 2, 1, is_stuck=True), "1;;3;7-9;2;1;!R"),
        (7, Saved(3, 500, 2, 1, (7, 8, 300)), "1;;3;7-500;2;1;R00N@|0R"),
        (100, Saved(0, 132, 0, 0, tuple(range(100, 132, 2))), "1;;0;100-132;0;0;Bs;a80"),
    ],
)
def test_texts_of_this_version_stay_readable(low: int, saved: Saved, text: str) -> None:
    assert encode(low, saved) == (text, saved.high)
    assert decode(low, text) == saved


def test_no_metadata_says_that_nothing_is_done() -> None:
    assert decode(42, "") == Saved(high=42)


@pytest.mark.parametrize(
    "text",
    [
        "2;;3;7-9;2;1;R",
        "1",
        "1;;3;7-9;2;1;",
        "1;;3;7-9;2;1;X",
        "1;;3;7-9;2;1;R\n!",
        "1;;-3;7-9;2;1;R",
        "1;;3;7-9;2;\N{ARABIC-INDIC DIGIT ONE};R",
        f"1;;{'9' * 5_000};7-9;2;1;R",
        '{"state": "live"}',
        "1;;3;7-6;2;1;R",
    ],
)
def test_other_texts_say_nothing(text: str) -> None:
    read = decode(7, text)
    assert (read.high, read.holes, read.is_known) == (7, (), False)


def test_the_text_of_another_offset_says_nothing_of_this_one() -> None:
    text, _ = encode(7, Saved(3, 500, 2, 1, (7, 300)))
    assert decode(9, text) == Saved(generation=3, high=9, is_known=False)


def varints(*numbers: int) -> str:
    data = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:
            data.append(rest & 0x7F | 0x80)
            rest >>= 7
        data.append(rest)
    return b85encode(data).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"B{b85encode(bytes([0x80, 0x01])).decode()}",
        f"R{varints(0, 1, 2, 1)}",
        f"R{b85encode(bytes([0, 1, 0x80])).decode()}",
        "R~~~~~",
        f"R{varints(0, 1)}\n",
    ],
    ids=["bit", "run", "varint", "base85", "line"],
)
def test_holes_that_cannot_be_say_nothing(text: str) -> None:
    assert decode(7, f"1;;3;7-8;0;0;R{varints(0, 1)}").is_known
    read = decode(7, f"1;;3;7-8;0;0;{text}")
    assert (read.high, read.holes, read.is_known) == (7, (), False)


@pytest.mark.parametrize(
    "runs", [(0, 10**12), (0, 900_000, 0, 900_000), (10**15, 1), (0, 1, 5), (0, 1, 2**70, 1)]
)
def test_a_text_cannot_claim_what_does_not_fit_into_memory(runs: tuple[int, ...]) -> None:
    read = decode(7, f"1;;0;7-{10**14};0;0;R{varints(*runs)}")
    assert (read.high, read.holes, read.is_known) == (7, (), False)


def test_more_than_a_million_holes_are_told_in_part() -> None:
    holes = tuple(range(7, 7 + 1_500_000))
    text, told = encode(7, Saved(high=2_000_000, holes=holes))
    assert told == 7 + 1_000_000
    assert decode(7, text).holes == holes[:1_000_000]


@given(offsets, st.text())
@example(0, "1;;0;0-0;0;0;B0")
def test_no_text_is_too_bad_to_read(low: int, text: str) -> None:
    check_is_sound(low, decode(low, text))


@given(
    patterns(60),
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["", "0", "~", ";", "9", "é", "R"]))),
)
def test_no_garbled_text_is_too_bad_to_read(
    pattern: tuple[int, Saved], edits: list[tuple[int, str]]
) -> None:
    low, saved = pattern
    text, _ = encode(low, saved)
    for at, character in edits:
        text = text[:at] + character + text[at + 1 :]
    check_is_sound(low, decode(low, text))


def check_is_sound(low: int, read: Saved) -> None:
    assert read.high >= low
    assert list(read.holes) == sorted(set(read.holes))
    assert all(low <= hole < read.high for hole in read.holes)
    if not read.is_known:
        assert (read.high, read.holes) == (low, ())
