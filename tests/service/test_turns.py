"""Places that many want: never more have one, and everybody gets one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from platform_events.service.turns import Turns


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_waits_has_the_place_that_is_left_in_the_order_of_asking() -> None:
    turns, begun = Turns(1, Clock()), []
    for name in "abc":
        turns.ask(name, lambda name=name: begun.append(name))  # type: ignore[misc]
    assert begun == ["a"]
    turns.leave("b")
    turns.leave("a")
    assert begun == ["a", "c"]
    assert turns.has("c")
    assert not turns.is_full


def test_a_turn_is_over_only_for_others() -> None:
    clock = Clock()
    turns = Turns(1, clock)
    assert turns.take("a")
    clock.now = 10.0
    assert not turns.is_over("a")
    assert not turns.take("b")
    turns.ask("b", lambda: None)
    assert turns.is_over("a")
    turns.leave("a")
    assert turns.has("b")
    turns.ask("a", lambda: None)
    assert not turns.is_over("b")


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from(["ask", "take", "leave"]), st.integers(0, 6))),
)
def test_places_are_never_more_than_there_are_and_none_is_left_empty(
    places: int, steps: list[tuple[str, int]]
) -> None:
    turns = Turns(places, Clock())
    wanting: set[int] = set()
    for step, who in steps:
        if step == "ask":
            if who not in wanting:
                turns.ask(who, lambda: None)
            wanting.add(who)
        elif step == "take":
            if who not in wanting and turns.take(who):
                wanting.add(who)
        else:
            turns.leave(who)
            wanting.discard(who)
        having = {one for one in range(7) if turns.has(one)}
        assert having <= wanting
        assert len(having) == min(places, len(wanting))
        assert turns.is_full == (len(wanting) > places)
