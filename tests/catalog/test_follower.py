"""Following in a thread: what goes wrong is said once while it lasts."""

from __future__ import annotations

import logging

import pytest

from platform_events.catalog import follower as follower_module
from platform_events.catalog.follower import Follower
from platform_events.errors import BrokerTimeoutError
from tests.support import wait_until


class Stub:
    """Catalog, watch and admin client; the first fails to refresh while it is told to."""

    def __init__(self) -> None:
        self.fails = False
        self.looks = 0
        self.refreshes = 0

    def refresh(self) -> None:
        self.refreshes += 1
        if self.fails:
            raise BrokerTimeoutError("no answer")

    def follow(self) -> None:
        self.looks += 1

    def tick(self) -> None:
        pass

    def serve(self) -> None:
        pass


def test_a_failure_is_logged_once_while_it_lasts(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(follower_module, "_REFRESH_SECONDS", 0.02)
    stub = Stub()
    caplog.set_level(logging.WARNING, "platform_events")
    follower = Follower(stub, stub, stub, tick=0.001, refresh=True)  # type: ignore[arg-type]
    for fails in (True, False, True):
        stub.fails = fails
        # One may be under way; between two of them it looks several times.
        enough = stub.refreshes + 4
        wait_until(lambda enough=enough: stub.refreshes >= enough)  # type: ignore[misc]
    wait_until(lambda: stub.looks > stub.refreshes)
    assert follower.close(20)
    assert [one.message for one in caplog.records] == ["no answer"] * 2


def test_a_bus_does_not_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_module, "_REFRESH_SECONDS", 0.0)
    stub = Stub()
    follower = Follower(stub, stub, stub, tick=0.001, refresh=False)  # type: ignore[arg-type]
    wait_until(lambda: stub.looks > 5)
    assert follower.close(20)
    assert stub.refreshes == 0
