"""What is owed: never more than 100, never less than was asked for and not sent."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from platform_events.service.credit import Credit


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.one_of(st.integers(1, 120), st.integers(1, 2**31 - 1))),
            st.tuples(st.just("send"), st.integers(1, 100)),
        )
    )
)
def test_it_is_what_was_asked_for_less_what_was_sent(steps: list[tuple[str, int]]) -> None:
    credit, owed = Credit(), 0
    for step, number in steps:
        if step == "ask":
            credit.ask(number)
            owed = min(100, owed + number)
        elif number <= credit.owed:
            credit.send(number)
            owed -= number
        assert credit.owed == owed
        assert 0 <= owed <= 100
