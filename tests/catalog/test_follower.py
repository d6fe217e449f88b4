"""Following in a thread: what goes wrong is said once while it lasts."""

from __future__ import annotations

import logging
import math
import time

import pytest

from platform_events.catalog.follower import Follower
from platform_events.errors import BrokerTimeoutError
from tests.support import wait_until


class Stub:
    """Catalog, watch and admin client; the first fails to refresh while it is told to."""

    def __init__(self) -> None:
        self.fails = False
        self.is_read = True
        self.looks = 0
        self.refreshes = 0
        self.takes = 0.0

    def renew(self) -> None:
        self.refreshes += 1
        time.sleep(self.takes)
        if self.fails:
            raise BrokerTimeoutError("no answer")

    def follow(self) -> None:
        self.looks += 1

    def tick(self) -> None:
        pass

    def serve(self) -> None:
        pass


def test_a_failure_is_logged_once_while_it_lasts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stub = Stub()
    caplog.set_level(logging.WARNING, "platform_events")
    follower = Follower(stub, stub, stub, tick=0.001, refresh=0.02)  # type: ignore[arg-type]
    for fails in (True, False, True):
        stub.fails = fails
        # One may be under way; between two of them it looks several times.
        enough = stub.refreshes + 4
        wait_until(lambda enough=enough: stub.refreshes >= enough)  # type: ignore[misc]
    wait_until(lambda: stub.looks > stub.refreshes)
    assert follower.close(20)
    assert [one.message for one in caplog.records] == ["BROKER_TIMEOUT: no answer"] * 2


def test_it_refreshes_only_when_it_is_told_to() -> None:
    stub = Stub()
    follower = Follower(stub, stub, stub, tick=0.001, refresh=math.inf)  # type: ignore[arg-type]
    wait_until(lambda: stub.looks > 5)
    assert stub.refreshes == 0
    follower.refresh = 0.0
    wait_until(lambda: stub.refreshes > 5)
    assert follower.close(20)


def test_a_catalog_that_cannot_be_refreshed_does_not_keep_it_from_looking() -> None:
    stub = Stub()
    stub.fails = True
    stub.takes = 0.03
    follower = Follower(stub, stub, stub, tick=0.001, refresh=0.01)  # type: ignore[arg-type]
    wait_until(lambda: stub.looks > 3 * stub.refreshes > 9)
    assert follower.close(20)
