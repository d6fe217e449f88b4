"""Which dead letters are handled after all, and when a stopped key goes on."""

from __future__ import annotations

from typing import Any

from platform_events.workers.dead_letter import Letter
from platform_events.workers.journal import PartitionJournal, RedriveRequest
from platform_events.workers.redriving import Redriving, stopped_keys


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
    journal.letters = {one.id: one for one in letters}
    for offset, version in requests:
        journal.requests[f"0-{offset}"] = RedriveRequest(f"0-{offset}", version, 0)
    return journal


def offsets(letters: list[Letter]) -> list[int]:
    return [one.offset for one in letters]


def test_a_letter_is_taken_once_and_only_at_its_version() -> None:
    redriving = Redriving()
    found = journal(letter(1), letter(2, version=2), requests=[(1, 1), (2, 1), (9, 1)])
    assert offsets(redriving.choose(found, ())) == [1]
    assert redriving.choose(found, ()) == []
    assert redriving.refused(found) == ["0-2", "0-9"]


def test_letters_of_a_stopped_key_are_taken_together_in_order() -> None:
    head, second, third = letter(1, stops_key=True), letter(5, status="parked"), letter(9, b"b")
    found = journal(third, second, head, requests=[(5, 1)])
    assert stopped_keys(found.letters.values()) == {b"a"}
    redriving = Redriving()
    assert offsets(redriving.choose(found, {b"a"})) == [1, 5]
    assert redriving.through(found) == []
    # A later event was parked meanwhile, and is written but not read back.
    redriving.post(letter(12, status="parked"))
    for done in (head, second):
        del found.letters[done.id]
        redriving.end(done, is_handled=True)
    assert redriving.through(found) == []
    late = letter(12, status="parked")
    found.letters[late.id] = late
    assert offsets(redriving.choose(found, {b"a"})) == [12]
    del found.letters[late.id]
    redriving.end(late, is_handled=True)
    assert redriving.through(found) == [b"a"]
    assert redriving.through(found) == []


def test_a_key_that_fails_again_stays_stopped() -> None:
    head, second = letter(1, stops_key=True), letter(5, status="parked")
    found = journal(head, second, requests=[(1, 1), (5, 1)])
    redriving = Redriving()
    redriving.choose(found, {b"a"})
    again = letter(1, stops_key=True, version=2)
    redriving.post(again)
    found.letters[again.id] = again
    del found.requests["0-1"]
    redriving.end(head, is_handled=False)
    redriving.let_go(second)
    assert redriving.choose(found, {b"a"}) == []
    assert redriving.through(found) == []
    # The request was removed, and is made anew.
    del found.requests["0-5"]
    assert redriving.choose(found, {b"a"}) == []
    found.requests["0-5"] = RedriveRequest("0-5", 1, 0)
    assert offsets(redriving.choose(found, {b"a"})) == [1, 5]


def test_a_letter_that_is_through_is_not_taken_again_before_that_is_folded() -> None:
    redriving = Redriving()
    found = journal(letter(1), requests=[(1, 1)])
    redriving.choose(found, ())
    redriving.end(letter(1), is_handled=False)
    assert redriving.choose(found, ()) == []
    # It failed again, and somebody asks for it as it is now.
    found.letters["0-1"] = letter(1, version=2)
    found.requests["0-1"] = RedriveRequest("0-1", 2, 0)
    assert offsets(redriving.choose(found, ())) == [1]
