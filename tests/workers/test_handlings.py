"""The checker has to find what it is there for."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.handlings import (
    Findings,
    Handling,
    Notebook,
    Published,
    check,
    read_notebook,
)

EVENTS = [
    Published(f"{partition}-{offset}", partition, offset, "abc"[offset % 3])
    for partition in range(2)
    for offset in range(12)
]
RIGHT = [Handling(one.event, "p1") for one in EVENTS]


def test_what_is_right_passes() -> None:
    findings = check(EVENTS, RIGHT)
    findings.assert_none()
    assert findings == Findings(checked=24)


def test_keys_may_overtake_each_other() -> None:
    by_key = sorted(EVENTS, key=lambda one: one.key or "")
    check(EVENTS, [Handling(one.event, "p1") for one in by_key]).assert_none()


@pytest.mark.parametrize("at", [0, 7, 23])
def test_a_missing_event_is_found(at: int) -> None:
    findings = check(EVENTS, [*RIGHT[:at], *RIGHT[at + 1 :]])
    one = EVENTS[at]
    assert findings.missing == [f"{one.event} ({one.key}, {one.partition}-{one.offset})"]
    with pytest.raises(AssertionError, match="1 missing"):
        findings.assert_none()


def test_an_event_whose_handler_never_came_to_its_end_is_missing() -> None:
    begun = [*RIGHT[:5], replace(RIGHT[5], is_complete=False), *RIGHT[6:]]
    assert len(check(EVENTS, begun).missing) == 1
    check(EVENTS, [*begun[:6], replace(RIGHT[5], attempt=2), *begun[6:]]).assert_none()


def test_a_doubled_event_is_found() -> None:
    findings = check(EVENTS, [*RIGHT, RIGHT[-1]])
    assert findings.repeated == ["1 of p1 in partition 1, not 0 at most"]
    assert (findings.missing, findings.swapped, findings.again) == ([], [], 1)


@pytest.mark.parametrize("at", [0, 4, 11])
def test_an_event_doubled_after_others_of_its_key_is_found(at: int) -> None:
    findings = check(EVENTS, [*RIGHT, RIGHT[at]])
    assert len(findings.repeated) == 1
    assert len(findings.swapped) == (0 if at >= 9 else (11 - at) // 3)


@pytest.mark.parametrize(("most", "is_allowed"), [(4, True), (3, False)])
def test_after_a_kill_so_many_may_be_handled_again(most: int, is_allowed: bool) -> None:
    handlings = [*RIGHT[:12], *(replace(one, process="p2") for one in RIGHT[8:])]
    findings = check(EVENTS, handlings, killed={"p1"}, most_again=most)
    assert findings.again == 4
    assert findings.repeated == ([] if is_allowed else ["4 of p1 in partition 0, not 3 at most"])
    assert not check(EVENTS, handlings, killed={"p1"}, most_again=4).swapped
    assert check(EVENTS, handlings, killed={"p2"}, most_again=4).repeated


def test_the_bound_is_for_each_kill_and_each_partition() -> None:
    first, second = RIGHT[:12], RIGHT[12:]
    begin = [*first[:6], *second[:6]]
    again = [replace(one, process="p2") for one in (*first[3:9], *second[3:9])]
    last = [replace(one, process="p3") for one in (*first[6:], *second[6:])]
    handlings = [*begin, *again, *last]
    check(EVENTS, handlings, killed={"p1", "p2"}, most_again=3).assert_none()
    findings = check(EVENTS, handlings, killed={"p1", "p2"}, most_again=2)
    assert len(findings.repeated) == 4
    assert findings.again == 12


def test_other_attempts_are_no_other_deliveries() -> None:
    failed = [replace(RIGHT[0], is_complete=False), replace(RIGHT[0], attempt=2)]
    check(EVENTS, [*failed, *RIGHT[1:]]).assert_none()


def test_swapped_events_are_found() -> None:
    handlings = [*RIGHT[:2], RIGHT[5], *RIGHT[3:5], RIGHT[2], *RIGHT[6:]]
    findings = check(EVENTS, handlings)
    assert (findings.missing, findings.repeated) == ([], [])
    assert findings.swapped == [
        "0-5 (c, 0-5) before 0-2 (c, 0-2), the first time",
        "0-5 (c, 0-5) before 0-2 (c, 0-2), the last time",
    ]


def test_events_without_a_key_have_no_order() -> None:
    events = [replace(one, key=None) for one in EVENTS]
    check(events, RIGHT[::-1]).assert_none()
    assert len(check(EVENTS, RIGHT[::-1]).swapped) == 2 * (24 - 6)


def test_a_late_attempt_of_who_lost_the_partition_is_found() -> None:
    handlings = [
        replace(RIGHT[0], is_complete=False),
        *(replace(one, process="p2") for one in RIGHT),
        replace(RIGHT[0], attempt=2),
    ]
    findings = check(EVENTS, handlings, killed={"p1"}, most_again=1)
    assert [text.split(" (")[0] for text in findings.swapped] == ["0-3", "0-6", "0-9"]


def test_what_was_not_published_is_found() -> None:
    assert check(EVENTS, [*RIGHT, Handling("x", "p1")]).foreign == ["x was not published"]


POISON = {"0-3", "1-4"}
WITH_POISON = list(
    chain.from_iterable(
        [replace(one, attempt=attempt, is_complete=False) for attempt in (1, 2, 3)]
        if one.event in POISON
        else [one]
        for one in RIGHT
    )
)


def test_dead_letters_that_are_complete_pass() -> None:
    check(EVENTS, WITH_POISON, dead_letters=sorted(POISON), poison=POISON).assert_none()


def test_a_missing_dead_letter_is_found() -> None:
    findings = check(EVENTS, WITH_POISON, dead_letters=["0-3"], poison=POISON)
    assert findings.missing == ["the dead letter of 1-4 (b, 1-4)"]


@pytest.mark.parametrize(
    ("more", "text"), [("0-5", "a dead letter of 0-5"), ("0-3", "2 dead letters of 0-3")]
)
def test_a_dead_letter_too_many_is_found(more: str, text: str) -> None:
    letters = [*sorted(POISON), more]
    assert check(EVENTS, WITH_POISON, dead_letters=letters, poison=POISON).foreign == [text]


def test_a_redriven_event_is_handled_and_out_of_order() -> None:
    redriven = [*WITH_POISON, Handling("0-3", "p1", is_redrive=True)]
    check(EVENTS, redriven, dead_letters=["1-4"], poison={"1-4"}).assert_none()
    failed = [*WITH_POISON, Handling("0-3", "p1", is_complete=False, is_redrive=True)]
    assert len(check(EVENTS, failed, dead_letters=["1-4"], poison={"1-4"}).missing) == 1


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[Published], list[Handling], set[str], int]:
    """Workers that are killed at any point, each beginning at a commit of the one before."""
    keys = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=30))
    events = [Published(f"e{at}", 0, at, key) for at, key in enumerate(keys)]
    handlings: list[Handling] = []
    done: set[int] = set()
    killed: set[str] = set()
    most = 0
    kills = draw(st.integers(0, 3))
    for number in range(kills + 1):
        process = f"p{number}"
        lanes = {
            key: [at for at, one in enumerate(keys) if one == key and at not in done]
            for key in set(keys)
        }
        turns = draw(st.permutations([key for key, lane in lanes.items() for _ in lane]))
        is_last = number == kills
        steps = len(turns) if is_last else draw(st.integers(0, len(turns)))
        committed = draw(st.integers(0, steps))
        for step, key in enumerate(turns[:steps]):
            at = lanes[key].pop(0)
            handlings.append(Handling(f"e{at}", process))
            if step < committed or is_last:
                done.add(at)
        if not is_last:
            killed.add(process)
            most = max(most, steps - committed)
    return events, handlings, killed, most


@given(runs())
def test_whatever_kills_do_within_bounds_passes(
    run: tuple[list[Published], list[Handling], set[str], int],
) -> None:
    events, handlings, killed, most = run
    check(events, handlings, killed=killed, most_again=most).assert_none()


@given(runs(), st.data())
def test_whatever_is_missing_doubled_or_swapped_is_found(
    run: tuple[list[Published], list[Handling], set[str], int], data: st.DataObject
) -> None:
    events, handlings, killed, most = run
    one = data.draw(st.sampled_from(handlings))
    rest = [other for other in handlings if other.event != one.event]
    assert check(events, rest, killed=killed, most_again=most).missing
    last = handlings[-1]
    doubled = [*handlings, *[last] * (most + 1)]
    assert check(events, doubled, killed={*killed, last.process}, most_again=most).repeated
    keys = {published.event: published.key for published in events}
    first = {}
    for at, handling in enumerate(handlings):
        first.setdefault(handling.event, at)
    alike = sorted(at for event, at in first.items() if keys[event] == keys[one.event])
    if len(alike) > 1:
        at, other = alike[:2]
        swapped = [*handlings]
        swapped[at], swapped[other] = swapped[other], swapped[at]
        assert check(events, swapped, killed=killed, most_again=most).swapped


def note_down(path: Path, number: int) -> None:
    notebook = Notebook(path, f"p{number}")
    for at in range(200):
        notebook.begin(f"{number}-{at}", is_redrive=at == 1)
        notebook.complete(f"{number}-{at}")
    notebook.begin("last")


def test_many_processes_write_into_one_notebook(tmp_path: Path) -> None:
    path = tmp_path / "handlings"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=note_down, args=(path, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    handlings = read_notebook(path)
    for number in range(3):
        own = [one for one in handlings if one.process == f"p{number}"]
        assert own == [
            *(Handling(f"{number}-{at}", f"p{number}", is_redrive=at == 1) for at in range(200)),
            Handling("last", f"p{number}", is_complete=False),
        ]


def test_a_notebook_tells_attempts_apart(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path / "handlings", "p1")
    notebook.begin("x")
    notebook.begin("y")
    notebook.begin("x", 2)
    notebook.complete("x", 2)
    notebook.complete("y")
    notebook.close()
    assert read_notebook(tmp_path / "handlings") == [
        Handling("x", "p1", 1, is_complete=False),
        Handling("y", "p1"),
        Handling("x", "p1", 2),
    ]
