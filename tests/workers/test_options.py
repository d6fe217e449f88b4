"""What a worker may be given, and what is said about everything else."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime
from typing import Any

import pytest

from platform_events import ReplayId, RetryPolicy, Start, UsageError, Worker

REPLAY_ID = ReplayId(bytes(8) + b"ab")


def test_the_defaults_are_those_of_the_signature() -> None:
    app = Worker("billing", "/event/Order_Placed__e")
    assert (app.name, app.stream, app.stream_name) == (
        "billing", "/event/Order_Placed__e", "Order_Placed__e",
    )  # fmt: skip
    for name, parameter in inspect.signature(Worker).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and name != "retry":
            assert getattr(app, name) == parameter.default, name
    assert app.retry == RetryPolicy(
        max_attempts=5, backoff=0.2, max_backoff=10, jitter=0.2, timeout=None, final=()
    )
    assert Worker("billing", "Order_Placed__e").stream == app.stream


@pytest.mark.parametrize(
    ("start", "meant"),
    [
        (Start.EARLIEST, Start.EARLIEST),
        ("latest", Start.LATEST),
        (REPLAY_ID, REPLAY_ID),
        (str(REPLAY_ID), REPLAY_ID),
        (bytes(REPLAY_ID), REPLAY_ID),
        (datetime(2024, 1, 31, tzinfo=UTC), datetime(2024, 1, 31, tzinfo=UTC)),
    ],
)
def test_each_start_that_a_subscription_takes(start: Any, meant: Any) -> None:
    assert Worker("billing", "Order_Placed__e", start=start).start == meant


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"name": "Billing"}, "use a-z, 0-9 and -"),
        ({"name": ""}, "use a-z, 0-9 and -"),
        ({"name": None}, "name is a text, not None"),
        ({"stream": "Order_Placed"}, "did you mean Order_Placed__e"),
        ({"stream": 5}, "stream is a text, not 5"),
        ({"concurrency": 0}, "concurrency is a whole number of at least 1, not 0"),
        ({"concurrency": True}, "concurrency is a whole number"),
        ({"concurrency": 2.0}, r"concurrency is a whole number of at least 1, not 2\.0"),
        ({"order": "keys"}, "order is key or none, not 'keys'; did you mean key?"),
        ({"order": ["key"]}, "order is key or none, not "),
        ({"start": None}, r"start is Start\.LATEST, Start\.EARLIEST, a replay ID or a datetime"),
        ({"start": "newest"}, "start is .* not 'newest'"),
        ({"start": datetime(2024, 1, 31)}, r"time zone, such as datetime\.now\(UTC\)"),  # noqa: DTZ001
        ({"retry": 3}, r"retry is a RetryPolicy\(\.\.\.\), not 3"),
        ({"on_failure": "dead_letter"}, "on_failure is dead-letter, .*did you mean dead-letter?"),
        ({"on_unhandled": "ignore"}, "on_unhandled is fail, skip or dead-letter, not 'ignore'"),
        ({"batch_size": 0}, "batch_size is a whole number of at least 1, not 0"),
        ({"batch_wait": -1, "batch_size": 2}, "batch_wait is a number of seconds, 0 or more"),
        ({"batch_wait": 0.5}, "batch_wait is for lists: give batch_size too"),
        ({"batch_size": 2_000}, "batch_size 2000 is more than max_uncommitted 1000"),
        ({"max_uncommitted": 0}, "max_uncommitted is a whole number of at least 1, not 0"),
        ({"max_bytes": 0}, "max_bytes is a whole number of at least 1, not 0"),
        ({"grace": float("nan")}, "grace is a number of seconds, 0 or more, not nan"),
        ({"grace": "30"}, "grace is a number of seconds, 0 or more, not '30'"),
        ({"group_protocol": "kip-848"}, "group_protocol is auto, consumer or classic"),
        ({"instance_id": ""}, "instance_id is letters, digits"),
        ({"instance_id": ".."}, "instance_id is letters, digits"),
        ({"instance_id": "a b"}, "instance_id is letters, digits"),
        ({"on_failure": "stop-key", "order": "none"}, "order='none' none is later than another"),
    ],
)
def test_each_wrong_one_is_named_in_a_line(options: dict[str, Any], says: str) -> None:
    given = {"name": "billing", "stream": "Order_Placed__e"} | options
    with pytest.raises(UsageError, match=says) as caught:
        Worker(**given)
    assert "\n" not in str(caught.value)
