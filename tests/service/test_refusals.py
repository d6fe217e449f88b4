"""Who is refused again waits, longer each time, and nobody else does."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from platform_events.service import refusals as refusals_module
from platform_events.service.refusals import MOST_HELD, HeldRefusals, Refusals


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_comes_at_once_and_then_later_each_time_up_to_a_limit() -> None:
    refusals = Refusals(Clock())
    assert [refusals.delay("a") for _ in range(7)] == [0.0, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    assert refusals.delay("b") == 0.0


def test_who_has_waited_long_is_as_good_as_new() -> None:
    clock = Clock()
    refusals = Refusals(clock)
    for _ in range(3):
        refusals.delay("a")
    clock.now += 61
    assert refusals.delay("a") == 2.0 * 2
    clock.now += 70
    assert [refusals.delay("a"), refusals.delay("a")] == [0.0, 1.0]


def test_it_remembers_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals_module, "_MOST", 3)
    refusals = Refusals(Clock())
    for number in range(10):
        refusals.delay(number)
    assert len(refusals._delays) == 3
    assert refusals.delay(9) == 1.0
    assert refusals.delay(0) == 0.0


def test_once_enough_of_a_request_are_held_back_that_answers_the_others() -> None:
    held: HeldRefusals[str] = HeldRefusals()
    with ExitStack() as stack:
        for _ in range(MOST_HELD):
            assert held.answer("a") is None
            stack.enter_context(held.holding("a", "no"))
        assert held.answer("a") == "no"
        assert held.answer("b") is None
    assert held.answer("a") is None
    assert not held._held
