from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.errors import UsageError
from platform_events.workers.policy import (
    LONGEST_RETRYING,
    Reason,
    Reject,
    Retry,
    RetryPolicy,
    next_step,
)

FAILURE = ValueError("no")
seconds = st.floats(0, 1e6)


def step(
    error: BaseException = FAILURE,
    attempt: int = 1,
    elapsed: float = 0,
    chance: float = 0,
    **policy: Any,
) -> float | Reason:
    return next_step(RetryPolicy(**policy), error, attempt, elapsed, lambda: chance)


def test_pauses_double_up_to_the_longest() -> None:
    pauses = [step(attempt=attempt, max_attempts=9) for attempt in range(1, 9)]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]


def test_chance_takes_a_part_of_the_pause() -> None:
    assert step(chance=1, backoff=10) == pytest.approx(8)
    assert step(chance=0.5, backoff=10) == pytest.approx(9)
    assert step(chance=1, backoff=10, jitter=0) == 10


def test_attempts_are_used_up() -> None:
    assert isinstance(step(attempt=4), float)
    assert step(attempt=5) is Reason.FAILED
    assert step(attempt=1, max_attempts=1) is Reason.FAILED


def test_the_time_for_all_attempts_is_used_up() -> None:
    assert step(elapsed=LONGEST_RETRYING, max_attempts=10**9) is Reason.FAILED
    assert step(elapsed=LONGEST_RETRYING - 3, attempt=9, max_attempts=10**9) == 3


def test_an_attempt_that_timed_out_is_told_apart() -> None:
    assert isinstance(step(TimeoutError(), timeout=5), float)
    assert step(TimeoutError(), attempt=5, timeout=5) is Reason.TIMED_OUT
    assert step(TimeoutError(), elapsed=61, timeout=5) is Reason.TIMED_OUT


def test_a_handler_says_when_to_try_again() -> None:
    assert step(Retry(after=7.5)) == 7.5
    assert step(Retry(after=0)) == 0
    assert step(Retry(), attempt=2) == 0.4


def test_a_handlers_wish_uses_up_attempts_and_time() -> None:
    assert step(Retry(after=1), attempt=5) is Reason.FAILED
    assert step(Retry(after=3_600), elapsed=50) == 10
    assert step(Retry(after=3_600), elapsed=60) is Reason.FAILED


def test_what_is_final_is_not_tried_again() -> None:
    final = (KeyError, OSError)
    assert step(KeyError("x"), final=final) is Reason.FINAL
    assert step(FileNotFoundError(), final=final) is Reason.FINAL
    assert isinstance(step(FAILURE, final=final), float)
    assert isinstance(step(Retry(), final=(Exception,)), float)


def test_what_is_rejected_is_not_tried_again() -> None:
    assert step(Reject("no such customer")) is Reason.REJECTED
    assert step(Reject("no such customer"), final=(Exception,)) is Reason.REJECTED


@given(
    st.integers(1, 10**6),
    seconds,
    seconds,
    st.floats(0, 1),
    st.integers(1, 10**6),
    seconds,
    st.floats(0, 1),
)
def test_no_pause_is_longer_than_it_may_be(
    max_attempts: int,
    backoff: float,
    more: float,
    jitter: float,
    attempt: int,
    elapsed: float,
    chance: float,
) -> None:
    policy = RetryPolicy(max_attempts, backoff, backoff + more, jitter)
    result = next_step(policy, FAILURE, attempt, elapsed, lambda: chance)
    if isinstance(result, Reason):
        assert result is Reason.FAILED
        assert attempt >= max_attempts or elapsed >= LONGEST_RETRYING
    else:
        assert attempt < max_attempts
        assert 0 <= result <= backoff + more
        assert elapsed + result <= LONGEST_RETRYING + 1e-6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_attempts": 0}, "max_attempts is a whole number, 1 or more, not 0"),
        ({"max_attempts": 2.5}, "max_attempts is a whole number"),
        ({"max_attempts": True}, "max_attempts is a whole number"),
        ({"backoff": -1}, "backoff is a number of seconds, 0 or more, not -1"),
        ({"backoff": float("nan")}, "backoff is"),
        ({"backoff": 10**400, "max_backoff": 10**400}, "backoff is"),
        ({"backoff": "1"}, "backoff is a number of seconds, 0 or more, not '1'"),
        ({"backoff": 20}, "max_backoff is a number of seconds, not less than backoff, not 10"),
        ({"max_backoff": float("inf")}, "max_backoff is"),
        ({"jitter": 1.5}, "jitter is a number from 0 to 1, not 1.5"),
        ({"jitter": True}, "jitter is"),
        ({"timeout": 0}, "timeout is a number of seconds, more than 0, or None, not 0"),
        ({"timeout": False}, "timeout is"),
        ({"final": ValueError}, "final is a tuple of exceptions' classes"),
        ({"final": [ValueError]}, "final is a tuple of exceptions' classes"),
        ({"final": (ValueError("x"),)}, "final is a tuple of exceptions' classes"),
        ({"final": (int,)}, "final is a tuple of exceptions' classes"),
    ],
)
def test_a_policy_that_cannot_be_followed_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        RetryPolicy(**wrong)
    assert str(caught.value).startswith(f"RetryPolicy: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("after", [-1, float("nan"), "5", True, 10**400])
def test_no_time_to_try_again_is_refused(after: Any) -> None:
    with pytest.raises(UsageError, match="Retry: after is a number of seconds"):
        Retry(after=after)


def test_what_handlers_raise_goes_to_other_processes() -> None:
    for carry in (copy.copy, lambda error: pickle.loads(pickle.dumps(error))):
        assert (carry(Retry(after=2)).after, str(carry(Retry(after=2)))) == (2, "again after 2 s")
        assert (carry(Retry()).after, str(Retry())) == (None, "again")
        assert (carry(Reject("no")).reason, str(carry(Reject("no")))) == ("no", "no")
