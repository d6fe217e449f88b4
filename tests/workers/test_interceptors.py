"""Who is told about each handling, in which order, and who cannot be."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from platform_events import Interceptor, UsageError, Worker
from tests.workers.events import make_context, make_event


def worker() -> Worker:
    return Worker("billing", "Order_Placed__e")


class Recorder(Interceptor):
    def __init__(self, name: str, seen: list[Any]) -> None:
        self.name = name
        self.seen = seen

    def before(self, events: Any, context: Any) -> None:
        self.seen.append((self.name, "before", list(events), context.attempt))

    def after(self, events: Any, context: Any, error: Any) -> None:
        self.seen.append((self.name, "after", list(events), error))

    def outcome(self, events: Any, outcome: Any, error: Any) -> None:
        self.seen.append((self.name, outcome, list(events), error))


class OnlyOutcome:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def outcome(self, events: Any, outcome: str, error: Any) -> None:
        self.seen.append(outcome)


def test_they_nest() -> None:
    app, seen = worker(), []
    assert not app.interceptors.has_any
    first = Recorder("first", seen)
    assert app.interceptor(first) is first
    app.interceptor(Recorder("second", seen))
    assert app.interceptors.has_any
    event, failure = make_event(), ValueError("no")
    events, context = (event,), make_context(event)
    app.interceptors.before(events, context)
    app.interceptors.after(events, context, failure)
    app.interceptors.outcome(events, "retried", failure)
    assert seen == [
        ("first", "before", [event], 1),
        ("second", "before", [event], 1),
        ("second", "after", [event], failure),
        ("first", "after", [event], failure),
        ("second", "retried", [event], failure),
        ("first", "retried", [event], failure),
    ]


def test_any_object_with_some_of_the_methods_is_one() -> None:
    app, one = worker(), OnlyOutcome()
    app.interceptor(one)
    event = make_event()
    app.interceptors.before((event,), make_context(event))
    app.interceptors.outcome((event,), "ok", None)
    assert one.seen == ["ok"]


def test_one_that_overrides_nothing_costs_nothing() -> None:
    app = worker()
    app.interceptor(Interceptor())
    assert not app.interceptors.has_any


def test_what_one_raises_changes_nothing_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        def __init__(self) -> None:
            self.problem = "no span"

        def before(self, events: Any, context: Any) -> None:
            raise RuntimeError(self.problem)

    app, broken, seen = worker(), Broken(), []
    app.interceptor(broken)
    app.interceptor(Recorder("other", seen))
    event = make_event()
    for _ in range(3):
        app.interceptors.before((event,), make_context(event))
    assert len(seen) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"interceptor {Broken.before.__qualname__} raised RuntimeError('no span')"
    ]
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].levelno == logging.ERROR
    broken.problem = "another"
    app.interceptors.before((event,), make_context(event))
    assert len(caplog.records) == 2


class Waits:
    async def after(self, events: Any, context: Any, error: Any) -> None: ...


class Constant:
    before = 5


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Recorder, r"Recorder is a class: give an instance, as in app\.interceptor\(Recorder"),
        (object(), "has none of the methods before, after and outcome"),
        (Waits(), r"Waits\.after is async"),
        (Constant(), "Constant: before is no method"),
    ],
)
def test_what_is_none_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        worker().interceptor(wrong)
