"""Following in a thread: what goes wrong is said once while it lasts."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

import pytest

from platform_events.catalog.follower import Follower
from platform_events.errors import BrokerTimeoutError
from platform_events.kafka.admin import Topic
from tests.support import wait_until


class Stub:
    """Catalog, watch and admin client; asking for topics fails while it is told to."""

    topic, topic_id = "catalog", "id"
    is_read = True
    is_adrift = False

    def __init__(self) -> None:
        self.fails = False
        self.looks = 0
        self.refreshes = 0
        self.learnt = 0
        self.takes = 0.0
        self.defect: Exception | None = None

    def describe_each(self, names: set[str], *, expected: set[str]) -> dict[str, Topic]:
        self.refreshes += 1
        time.sleep(self.takes)
        if self.fails:
            raise BrokerTimeoutError("no answer")
        return {name: Topic(name, self.topic_id, 1, 1) for name in names}

    def stable_ends(self, names: Iterable[str]) -> dict[str, int]:
        return dict.fromkeys(names, 5)

    def learn(self, asked_at: float, topic: Topic, end: int) -> None:
        assert asked_at <= time.monotonic()
        assert (topic.topic_id, end) == ("id", 5)
        self.learnt += 1

    def keep_up(self, tail: object) -> None:
        self.looks += 1
        if self.defect is not None:
            raise self.defect

    def tick(self) -> None:
        pass

    def serve(self) -> None:
        pass

    def close(self) -> None:
        pass


def follower(stub: Stub) -> Follower:
    return Follower(stub, stub, lambda: stub, tick=0.001)  # type: ignore[arg-type, return-value]


def test_a_failure_is_logged_once_while_it_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stub = Stub()
    caplog.set_level(logging.WARNING, "platform_events")
    following = follower(stub)
    for _ in range(3):
        following.follow(stub, refresh=0.02)  # type: ignore[arg-type]
    for fails in (True, False, True):
        stub.fails = fails
        # One may be under way; between two of them it looks several times.
        enough = stub.refreshes + 4
        wait_until(lambda enough=enough: stub.refreshes >= enough)  # type: ignore[misc]
    wait_until(lambda: stub.looks > stub.refreshes)
    assert following.close(20)
    assert [one.message for one in caplog.records] == ["BROKER_TIMEOUT: no answer"] * 2


def test_it_refreshes_only_when_it_is_told_to() -> None:
    stub = Stub()
    following = follower(stub)
    followed = following.follow(stub)  # type: ignore[arg-type]
    wait_until(lambda: stub.looks > 5)
    assert stub.refreshes == 0
    followed.refresh = 0.0
    wait_until(lambda: stub.refreshes > 5)
    assert following.close(20)


def test_a_catalog_that_cannot_be_refreshed_does_not_keep_it_from_looking() -> None:
    stub = Stub()
    stub.fails = True
    stub.takes = 0.03
    following = follower(stub)
    following.follow(stub, refresh=0.01)  # type: ignore[arg-type]
    wait_until(lambda: stub.looks > 3 * stub.refreshes > 9)
    assert following.close(20)


def test_a_defect_with_one_catalog_is_logged_once_and_keeps_no_other_from_being_followed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken, well = Stub(), Stub()
    broken.defect = ValueError("a defect")
    told: list[int] = []
    following = follower(well)
    followed = following.follow(broken, refresh=0.01)  # type: ignore[arg-type]
    other = following.follow(well, refresh=0.01)  # type: ignore[arg-type]
    other.after_look = lambda: told.append(well.looks)
    wait_until(lambda: well.learnt > 5 and len(told) > 20)
    assert broken.looks > 5
    assert (followed.failure, other.failure) == (None, None)
    assert following.close(20)
    (record,) = caplog.records
    assert "ValueError('a defect')" in record.message
    assert record.exc_info


def test_a_hook_that_fails_is_logged_once_while_it_lasts_and_keeps_no_other_from_its_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stub = Stub()
    fails, calls, told = [True], [0], [0]
    following = follower(stub)

    def fail() -> None:
        calls[0] += 1
        if fails[0]:
            raise BrokerTimeoutError("no answer")

    def tell() -> None:
        told[0] += 1

    followed = following.follow(stub, refresh=0.01)  # type: ignore[arg-type]
    followed.after_look = fail
    following.follow(stub).after_look = tell  # type: ignore[arg-type]
    for fails[0] in (True, False, True):
        enough = calls[0] + 4
        wait_until(lambda enough=enough: calls[0] >= enough)  # type: ignore[misc]
    wait_until(lambda: told[0] > 10 and stub.refreshes > 3)
    assert following.close(20)
    assert [one.message for one in caplog.records] == ["BROKER_TIMEOUT: no answer"] * 2
