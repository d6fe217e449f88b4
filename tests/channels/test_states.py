from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from platform_events.channels.states import FeedState, State, Statements
from platform_events.kafka.offsets import Committed

KEY = ("topic", 0)
OTHER = ("topic", 1)


def said(state: State, since_ms: int = 0, detail: str = "") -> FeedState:
    return FeedState("router@a:1", state, since_ms, detail)


def settle_all(statements: Statements, *, is_ours: bool = True) -> list[State]:
    claims = statements.take()
    for key, claim in claims.items():
        statements.settle(key, claim, is_ours=is_ours)
    return [claim.state.state for claim in claims.values()]


@given(st.text(max_size=6_000), st.integers(0, 2**45))
def test_a_state_fits_into_the_metadata_of_an_offset(detail: str, since_ms: int) -> None:
    text = FeedState("router@a:1", "broken", since_ms, detail).to_text()
    assert len(text.encode()) <= 4_096
    parsed = FeedState.parse(text)
    assert parsed is not None
    assert (parsed.state, parsed.since_ms) == ("broken", since_ms)
    assert detail.encode(errors="replace").startswith(parsed.detail.encode(errors="replace")[:900])


@given(st.text())
def test_other_text_is_no_state(text: str) -> None:
    assert FeedState.parse(text) is None
    assert Committed("t", 0, 0).metadata == ""
    assert FeedState.parse('{"state": "live"}') is None


def test_a_claim_is_settled_by_what_becomes_of_it() -> None:
    statements = Statements()
    claim = statements.put(KEY, said("taking over"))
    assert claim.wait(0) is None
    settle_all(statements)
    assert claim.wait(0) is True
    refused = statements.put(KEY, said("live"))
    settle_all(statements, is_ours=False)
    assert refused.wait(0) is False


def test_what_was_said_is_not_said_again() -> None:
    statements = Statements()
    statements.put(KEY, said("live", 1))
    assert settle_all(statements) == ["live"]
    assert statements.put(KEY, said("live", 2)).wait(0) is True
    assert statements.take() == {}
    statements.put(KEY, said("broken", 2, "one"))
    settle_all(statements)
    statements.put(KEY, said("broken", 3, "another"))
    assert settle_all(statements) == ["broken"]


def test_only_the_newest_counts() -> None:
    statements = Statements()
    statements.put(KEY, said("catching up"))
    statements.put(OTHER, said("broken"))
    statements.put(KEY, said("live"))
    assert sorted(settle_all(statements)) == ["broken", "live"]


def test_going_back_to_what_was_said_takes_back_what_was_not_said_yet() -> None:
    statements = Statements()
    statements.put(KEY, said("live"))
    settle_all(statements)
    statements.put(KEY, said("catching up"))
    statements.put(KEY, said("live"))
    assert settle_all(statements) in ([], ["live"])


def test_what_was_refused_is_not_taken_for_said() -> None:
    statements = Statements()
    statements.put(KEY, said("live"))
    settle_all(statements, is_ours=False)
    statements.put(KEY, said("live"))
    assert settle_all(statements) == ["live"]


def test_what_could_not_be_said_waits_unless_there_is_something_newer() -> None:
    statements = Statements()
    statements.put(KEY, said("catching up"))
    statements.put(OTHER, said("broken"))
    taken = statements.take()
    statements.put(KEY, said("live"))
    statements.give_back(taken)
    assert sorted(settle_all(statements)) == ["broken", "live"]


def test_what_is_lost_is_forgotten() -> None:
    statements = Statements()
    statements.put(KEY, said("live"))
    settle_all(statements)
    waiting = statements.put(KEY, said("broken"))
    statements.forget(KEY)
    assert waiting.wait(0) is False
    assert statements.put(KEY, said("live")).wait(0) is None
