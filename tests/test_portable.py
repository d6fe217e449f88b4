"""What a program may get from the package survives pickle and copy."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from multiprocessing import get_context
from typing import Any

import pytest

import platform_events
from platform_events import (
    BrokerTimeoutError,
    EventBus,
    EventMessage,
    Origin,
    PublishError,
    PublishResult,
    PublishStatus,
    ReplayId,
    Settings,
)
from platform_events.errors import EventTooLargeError, Problem
from platform_events.filters import FilterError
from tests.support import KEYED, ORDER

REPLAY_ID = ReplayId(bytes(8) + b"ab")
FAILED = PublishResult(
    PublishStatus.UNKNOWN, "id-1", None, BrokerTimeoutError("no answer", "_TIMED_OUT")
)
VALUES: dict[str, Any] = {
    "earliest": REPLAY_ID,
    "error": FilterError("wrong", 0, 1),
    "problems": [Problem("a.yaml", "wrong", 1, 2, "fields", "x\n^"), Problem("b.yaml", "bad")],
    "refusals": ["A__e: first", "B__e: second"],
    "replay_id": REPLAY_ID,
    "result": FAILED,
    **dict.fromkeys(
        ("after", "column", "end", "limit", "line", "lost", "offset", "partition", "size"), 7
    ),
    "start": 3,
    "trailers": {"pe-verdict": "EXPIRED"},
}
"""By the names of what constructors take; everything else takes a text."""
WAYS: list[Callable[[Any], Any]] = [
    *(
        lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    ),
    copy.copy,
    copy.deepcopy,
]


def exceptions_of_the_package() -> Iterator[type[Exception]]:
    """All but private ones, which never leave their modules."""
    for found in pkgutil.walk_packages(platform_events.__path__, "platform_events."):
        if not found.name.endswith(("__main__", "supervisor")):
            module = importlib.import_module(found.name)
            for name, value in inspect.getmembers(module, inspect.isclass):
                is_own = value.__module__ == found.name and not name.startswith("_")
                if is_own and issubclass(value, Exception):
                    yield value


def sample(kind: type[Exception]) -> Exception:
    parameters = inspect.signature(kind.__init__).parameters.values()
    named = [each for each in parameters if each.kind is not each.VAR_POSITIONAL][1:]
    if not named or any(each.kind is each.VAR_KEYWORD for each in named):
        return kind("some text")
    return kind(**{each.name: VALUES.get(each.name, f"some {each.name}") for each in named})


def state(value: Any) -> dict[str, Any]:
    """What an error or a result says; nothing for what compares by itself."""
    if isinstance(value, BaseException):
        return {"args": value.args, "text": str(value), **vars(value)}
    if isinstance(value, PublishResult):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return {}


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; errors and results are when all that they say is."""
    said, also = state(one), state(other)
    if type(one) is not type(other) or said.keys() != also.keys():
        return False
    if said:
        return all(same(value, also[name]) for name, value in said.items())
    return bool(one == other)


KINDS = sorted(exceptions_of_the_package(), key=lambda kind: (kind.__module__, kind.__qualname__))


def test_there_are_errors_in_many_modules() -> None:
    assert len(KINDS) > 50
    assert len(WAYS) > 5
    assert len({kind.__module__ for kind in KINDS}) > 12


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__qualname__)
def test_every_error_survives(kind: type[Exception]) -> None:
    error = sample(kind)
    error.add_note("seen in a test")
    for way in WAYS:
        restored = way(error)
        assert restored is not error
        assert same(restored, error)
        assert restored.__notes__ == ["seen in a test"]
        for name in ("code", "retriable"):
            assert getattr(restored, name, None) == getattr(error, name, None)


@pytest.mark.parametrize(
    "value",
    [
        REPLAY_ID,
        FAILED,
        PublishResult(PublishStatus.PERSISTED, "id-2", REPLAY_ID),
        EventMessage({"order_id": "A"}, "id-3", {"trace": b"1"}),
        Origin("/event/Order_Placed__e", REPLAY_ID, 0, 1, 2, 3),
        Settings(tenant="shop", kafka={"client.id": "me"}),
        VALUES["problems"][0],
    ],
)
def test_values_survive(value: Any) -> None:
    for way in WAYS:
        assert same(way(value), value)
        assert repr(way(value)) == repr(value)


def test_what_was_published_and_read_survives(bus: EventBus, define: Any) -> None:
    define(ORDER, KEYED)
    results = bus.publish_many("Order_Placed__e", [{"order_id": "A"}, {"order_id": 1}])
    results += bus.publish_many("Reading_Taken__e", [{"sensor": "s", "value": 1}])
    events = [
        event
        for name in ("Order_Placed__e", "Reading_Taken__e")
        for event in bus.subscribe(name, follow=False)
    ]
    statuses = [result.status.value for result in results]
    assert statuses == ["PERSISTED", "NOT_PERSISTED", "PERSISTED"]
    for way in WAYS:
        assert all(same(way(result), result) for result in results)
        for event in events:
            restored = way(event)
            for name in ("stream", "payload", "event_id", "type", "replay_id", "headers",
                         "published_at", "schema_id", "origin"):  # fmt: skip
                assert getattr(restored, name) == getattr(event, name)


def publish_too_much(settings: Settings) -> None:
    with EventBus(settings) as bus:
        bus.publish("Order_Placed__e", {"order_id": "x" * 2_000_000})


def read_a_made_up_position(settings: Settings) -> None:
    with EventBus(settings) as bus:
        next(iter(bus.subscribe("Order_Placed__e", "not one")))


def test_a_process_pool_raises_what_was_raised_in_it(settings: Settings, define: Any) -> None:
    define(ORDER)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        with pytest.raises(PublishError, match="NOT_PERSISTED") as caught:
            pool.submit(publish_too_much, settings).result()
        assert isinstance(caught.value.result.error, EventTooLargeError)
        assert (caught.value.code, caught.value.retriable) == ("EVENT_TOO_LARGE", False)
        with pytest.raises(platform_events.ReplayCorruptedError) as corrupted:
            pool.submit(read_a_made_up_position, settings).result()
        assert corrupted.value.stream == "/event/Order_Placed__e"
