"""How long attempts to log in wait, and what the log says of refusals."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.service import access_log, slowdown
from platform_events.service.access import Session
from platform_events.service.access_log import AccessLog
from platform_events.service.slowdown import FREE, Slowdown

KEY = ("billing", "10.0.0.1")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestSlowdown:
    def test_some_failures_cost_nothing_and_then_each_costs_more(self) -> None:
        clock = Clock()
        slow = Slowdown(clock)
        waits = []
        for _ in range(FREE + 8):
            wait = slow.begin(KEY)
            assert wait is not None
            clock.now += wait
            waits.append(wait)
            slow.fail(KEY)
        assert waits == [0.0] * FREE + [1.0, 2.0, 4.0, 8.0, 16.0, 16.0, 16.0, 16.0]

    def test_others_are_not_held_up(self) -> None:
        slow = Slowdown(Clock())
        for _ in range(10):
            slow.fail(KEY)
        assert slow.begin(KEY)
        assert slow.begin(("billing", "10.0.0.2")) == 0
        assert slow.begin(("other", "10.0.0.1")) == 0

    def test_those_at_once_wait_for_each_other_and_too_many_are_refused(self) -> None:
        slow = Slowdown(Clock())
        for _ in range(FREE):
            slow.fail(KEY)
        waits = [slow.begin(KEY) for _ in range(40)]
        assert waits[:4] == [1.0, 2.0, 3.0, 4.0]
        assert waits[-1] is None

    def test_success_and_time_forget(self) -> None:
        clock = Clock()
        slow = Slowdown(clock)
        for _ in range(10):
            slow.fail(KEY)
        slow.succeed(KEY)
        assert slow.begin(KEY) == 0
        for _ in range(10):
            slow.fail(KEY)
        clock.now += slowdown._FORGOTTEN_AFTER + 1
        assert slow.begin(KEY) == 0

    def test_what_is_remembered_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(slowdown, "_MOST", 10)
        slow = Slowdown(Clock())
        for number in range(100):
            slow.fail((str(number), ""))
        assert len(slow._failures) == 10

    @given(st.lists(st.tuples(st.sampled_from(["begin", "fail", "pass"]), st.floats(0, 100))))
    def test_no_attempt_waits_longer_than_half_a_minute(
        self, steps: list[tuple[str, float]]
    ) -> None:
        clock = Clock()
        slow = Slowdown(clock)
        for step, seconds in steps:
            if step == "begin":
                wait = slow.begin(KEY)
                assert wait is None or 0 <= wait <= 30
            elif step == "fail":
                slow.fail(KEY)
            clock.now += seconds


class TestLog:
    def test_what_is_refused_again_and_again_is_one_line_a_minute(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = Clock()
        log = AccessLog(clock)
        for _ in range(100):
            log.call_refused("10.0.0.1", "its token has expired")
        log.call_refused("10.0.0.2", "its token has expired")
        clock.now += 60
        log.call_refused("10.0.0.1", "its token has expired")
        assert [record.message for record in caplog.records] == [
            "call from 10.0.0.1 refused: its token has expired",
            "call from 10.0.0.2 refused: its token has expired",
            "call from 10.0.0.1 refused: its token has expired (99 more since the last line)",
        ]

    def test_a_line_stays_one_whatever_a_name_is(self, caplog: pytest.LogCaptureFixture) -> None:
        AccessLog().login_refused("a\nb" * 100, "10.0.0.1", "the password is wrong")
        (record,) = caplog.records
        assert "\n" not in record.message
        assert len(record.message) < 150

    def test_it_says_what_was_not_let_do(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="platform_events.service"):
            session = Session("billing", "shop", ())
            assert not session.may("publish", "A__e")
            log = AccessLog()
            log.right_refused(session, "10.0.0.1")
            log.logged_in(session, "10.0.0.1")
        assert [record.message for record in caplog.records] == [
            "call of billing of tenant shop from 10.0.0.1 refused: it may not publish A__e",
            "billing of tenant shop logged in from 10.0.0.1",
        ]

    def test_what_is_remembered_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(access_log, "_MOST", 10)
        log = AccessLog(Clock())
        for number in range(100):
            log.call_refused(str(number), "")
        assert len(log._told) == 10
