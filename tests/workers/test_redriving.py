"""Which dead letters are handled after all, and when a stopped key goes on."""

from __future__ import annotations

from typing import Any

import pytest

from platform_events.workers.dead_letter import Letter, letter_record, letter_tombstone
from platform_events.workers.journal import (
    PartitionJournal,
    RedriveRequest,
    redrive_record,
    redrive_tombstone,
)
from platform_events.workers.redriving import Redriving, stopped_keys
from tests.workers.journals import Stored


def letter(offset: int, key: bytes = b"a", **changes: Any) -> Letter:
    values: dict[str, Any] = {
        "partition": 0, "offset": offset, "version": 1, "status": "dead", "stops_key": False,
        "reason": "failed", "message": "", "attempts": 1, "first_failure_ms": 0,
        "last_failure_ms": 0, "type": "Order__e", "event_id": "", "schema_id": "",
        "replay_id": "", "stored_ms": 0, "key": key,
    }  # fmt: skip
    return Letter(**(values | changes))


def journal(*letters: Letter, requests: list[tuple[int, int]]) -> PartitionJournal:
    journal = PartitionJournal(0)
    put(journal, *letters)
    for offset, version in requests:
        ask(journal, offset, version)
    return journal


def put(journal: PartitionJournal, *letters: Letter) -> None:
    for one in letters:
        journal.fold(Stored(letter_record(one, b"?", [])))


def ask(journal: PartitionJournal, offset: int, version: int = 1, at: int = 0) -> None:
    journal.fold(Stored(redrive_record(RedriveRequest(f"0-{offset}", version, at))))


def remove(journal: PartitionJournal, *offsets: int) -> None:
    for offset in offsets:
        journal.fold(Stored(letter_tombstone(f"0-{offset}")))
        withdraw(journal, offset)


def withdraw(journal: PartitionJournal, *offsets: int) -> None:
    for offset in offsets:
        journal.fold(Stored(redrive_tombstone(f"0-{offset}")))


def choose(
    redriving: Redriving, journal: PartitionJournal, *stopped: bytes
) -> tuple[list[int], list[bytes]]:
    """Return the offsets of letters to be handled now, and keys that go on."""
    redriving.look(journal, stopped)
    letters = redriving.choose(stopped)
    return offsets(letters), [key for key in redriving.through(stopped) if isinstance(key, bytes)]


def offsets(letters: list[Letter]) -> list[int]:
    return [one.offset for one in letters]


def test_a_letter_is_taken_once_and_only_at_its_version() -> None:
    redriving = Redriving()
    found = journal(letter(1), letter(2, version=2), requests=[(1, 1), (2, 1), (9, 1)])
    assert choose(redriving, found) == ([1], [])
    assert choose(redriving, found) == ([], [])
    assert sorted(redriving.refused()) == ["0-2", "0-9"]
    assert redriving.refused() == []


def test_letters_of_a_stopped_key_are_taken_together_in_order() -> None:
    head, second, third = letter(1, stops_key=True), letter(5, status="parked"), letter(9, b"b")
    found = journal(third, second, head, requests=[(5, 1)])
    assert stopped_keys(found.letters.values()) == {b"a"}
    redriving = Redriving()
    assert choose(redriving, found, b"a") == ([1, 5], [])
    # A later event was parked meanwhile, and is written but not read back.
    late = letter(12, status="parked")
    redriving.post(late)
    for done in (head, second):
        remove(found, done.offset)
        redriving.end(done)
    assert choose(redriving, found, b"a") == ([], [])
    put(found, late)
    assert choose(redriving, found, b"a") == ([12], [])
    remove(found, 12)
    assert choose(redriving, found, b"a") == ([], [])
    redriving.end(late)
    assert choose(redriving, found, b"a") == ([], [b"a"])
    assert choose(redriving, found, b"a") == ([], [])
    assert not redriving.is_under_way


def test_a_key_that_fails_again_stays_stopped() -> None:
    head, second = letter(1, stops_key=True), letter(5, status="parked")
    found = journal(head, second, letter(6, status="parked"), requests=[(1, 1), (5, 1)])
    redriving = Redriving()
    assert choose(redriving, found, b"a") == ([1, 5, 6], [])
    again = letter(1, stops_key=True, version=2)
    redriving.post(again)
    redriving.end(head)
    redriving.let_go(second)
    redriving.let_go(letter(6, status="parked"))
    # The fold has the old letters and their requests still.
    assert choose(redriving, found, b"a") == ([], [])
    put(found, again)
    withdraw(found, 1)
    assert choose(redriving, found, b"a") == ([], [])
    assert redriving.refused() == []
    # The request was removed, and is made anew.
    withdraw(found, 5)
    ask(found, 5, at=1)
    assert choose(redriving, found, b"a") == ([1, 5, 6], [])


def test_what_was_asked_of_a_key_before_it_failed_again_is_refused() -> None:
    head = letter(0, stops_key=True)
    parked = [letter(offset, status="parked") for offset in range(1, 200)]
    found = journal(head, *parked, requests=[(offset, 1) for offset in range(200)])
    redriving = Redriving()
    chosen, _ = choose(redriving, found, b"a")
    again = letter(0, stops_key=True, version=2)
    redriving.post(again)
    redriving.end(head)
    for one in parked[: len(chosen) - 1]:
        redriving.let_go(one)
    assert choose(redriving, found, b"a") == ([], [])
    refused = redriving.refused()
    assert len(refused) == 200 - len(chosen)
    put(found, again)
    withdraw(found, *range(200))
    assert choose(redriving, found, b"a") == ([], [])
    assert not redriving.is_under_way


def test_a_letter_that_fails_again_and_stops_nothing_lets_its_key_go_on() -> None:
    head, second = letter(1, stops_key=True), letter(5, status="parked")
    found = journal(head, second, requests=[(1, 1)])
    redriving = Redriving()
    assert choose(redriving, found, b"a") == ([1, 5], [])
    rejected = letter(1, version=2)
    redriving.post(rejected)
    redriving.end(head)
    put(found, rejected)
    withdraw(found, 1)
    redriving.end(second)
    remove(found, 5)
    assert choose(redriving, found, b"a") == ([], [b"a"])


def test_a_letter_that_is_through_is_not_taken_again_before_that_is_folded() -> None:
    redriving = Redriving()
    found = journal(letter(1), requests=[(1, 1)])
    assert choose(redriving, found) == ([1], [])
    redriving.end(letter(1))
    assert choose(redriving, found) == ([], [])
    # It failed again, and somebody asks for it as it is now.
    put(found, letter(1, version=2))
    ask(found, 1, 2)
    assert choose(redriving, found) == ([1], [])


def test_a_letter_whose_news_is_folded_before_it_ends_is_taken_again() -> None:
    redriving = Redriving()
    found = journal(letter(1), requests=[(1, 1)])
    assert choose(redriving, found) == ([1], [])
    put(found, letter(1, version=2))
    ask(found, 1, 2)
    assert choose(redriving, found) == ([], [])
    redriving.end(letter(1))
    assert choose(redriving, found) == ([1], [])


def test_a_letter_that_could_not_be_read_is_taken_again() -> None:
    redriving = Redriving()
    found = journal(
        letter(1), letter(2, b"b", stops_key=True), letter(3, b"b", status="parked"),
        requests=[(1, 1), (3, 1)],
    )  # fmt: skip
    for _ in range(3):
        assert choose(redriving, found, b"b") == ([1, 2, 3], [])
        redriving.put_back([letter(1), *list(found.letters.values())[1:]])
        assert redriving.is_under_way


@pytest.mark.parametrize("is_resuming", [False, True])
def test_a_key_goes_on_when_its_letters_were_discarded(is_resuming: bool) -> None:
    redriving = Redriving()
    head, parked = letter(1, stops_key=True), letter(5, status="parked")
    redriving.post(head)
    found = journal(requests=[])
    assert choose(redriving, found, b"a") == ([], [])
    put(found, head, parked)
    if is_resuming:
        ask(found, 1)
        assert choose(redriving, found, b"a") == ([1, 5], [])
        remove(found, 1, 5)
        assert choose(redriving, found, b"a") == ([], [])
        redriving.end(head)
        redriving.end(parked)
    else:
        assert choose(redriving, found, b"a") == ([], [])
        remove(found, 1)
        assert choose(redriving, found, b"a") == ([], [])
        remove(found, 5)
    assert choose(redriving, found, b"a") == ([], [b"a"])
    assert not redriving.is_under_way


def test_a_key_that_could_not_go_on_is_tried_again_with_what_was_parked() -> None:
    redriving = Redriving()
    head = letter(1, stops_key=True)
    found = journal(head, requests=[(1, 1)])
    assert choose(redriving, found, b"a") == ([1], [])
    redriving.end(head)
    remove(found, 1)
    assert choose(redriving, found, b"a") == ([], [b"a"])
    redriving.post(letter(2, status="parked"))
    redriving.resume(b"a")
    assert choose(redriving, found, b"a") == ([], [])
    put(found, letter(2, status="parked"))
    assert choose(redriving, found, b"a") == ([2], [])
    redriving.end(letter(2, status="parked"))
    remove(found, 2)
    assert choose(redriving, found, b"a") == ([], [b"a"])


def test_what_is_being_written_is_not_redriven_after_a_seek() -> None:
    redriving = Redriving()
    found = journal(letter(1), letter(2), requests=[(1, 1), (2, 1)])
    assert choose(redriving, found) == ([1, 2], [])
    redriving.begin_anew()
    redriving.keep(letter(1))
    redriving.post(letter(7, b"b", stops_key=True))
    assert choose(redriving, found, b"b") == ([2], [])
    redriving.end(letter(1))
    assert choose(redriving, found, b"b") == ([], [])


def test_few_letters_are_taken_at_a_time_and_each_is_looked_at_once() -> None:
    looks = 0

    class Counted(dict[str, Letter]):
        def get(self, *args: Any) -> Any:
            nonlocal looks
            looks += 1
            return super().get(*args)

    number = 2_000
    found = journal(
        *(letter(offset, stops_key=offset == 0, status="parked") for offset in range(number)),
        requests=[(offset, 1) for offset in range(number)],
    )
    found.letters = Counted(found.letters)
    redriving = Redriving()
    left: list[int] = []
    done: list[int] = []
    while len(done) < number:
        chosen, _ = choose(redriving, found, b"a")
        left += chosen
        assert 0 < len(left) <= 50
        offset = left.pop(0)
        done.append(offset)
        redriving.end(letter(offset, status="parked"))
        remove(found, offset)
    assert done == list(range(number))
    assert choose(redriving, found, b"a") == ([], [b"a"])
    assert looks < 20 * number
