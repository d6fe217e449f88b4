"""Running a router beside other work, and what becomes of its failures and its callers'."""

from __future__ import annotations

import logging
import threading

import pytest

from platform_events.bus.bus import EventBus
from platform_events.channels.router import Router
from platform_events.channels.states import Progress
from platform_events.channels.thread import RouterThread
from platform_events.errors import BrokerTimeoutError
from platform_events.settings import Settings
from tests.channels.checking import check_channel, everything
from tests.channels.routing import Define, await_caught_up, publish
from tests.channels.samples import channel, event
from tests.support import wait_until

NAME = "All__chn"


class Failing:
    """A router that ends by itself, at once or when it is stopped."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once

    def run(self, stop: threading.Event) -> None:
        if not self._at_once:
            stop.wait(20)
        raise BrokerTimeoutError("no answer")


def raises(thread: RouterThread) -> bool:
    try:
        thread.check()
    except BrokerTimeoutError:
        return True
    return False


@pytest.mark.parametrize("at_once", [False, True])
def test_what_ended_a_router_is_raised(at_once: bool) -> None:
    router: Router = Failing(at_once=at_once)  # type: ignore[assignment]
    thread = RouterThread(router)
    thread.__enter__()
    if at_once:
        wait_until(lambda: raises(thread))
    with pytest.raises(BrokerTimeoutError):
        thread.__exit__(None)


def test_it_does_not_hide_what_went_wrong_beside_it() -> None:
    router: Router = Failing(at_once=False)  # type: ignore[assignment]
    with pytest.raises(LookupError), RouterThread(router):
        raise LookupError


def test_a_caller_that_cannot_show_progress_does_not_stop_a_channel(
    settings: Settings,
    bus: EventBus,
    define: Define,
    caplog: pytest.LogCaptureFixture,
) -> None:
    define(event("A__e"), channel(NAME, "A__e"))
    for begin in range(0, 2_000, 500):
        publish(bus, "A__e", range(begin, begin + 500))

    def fail(_: str, __: int, ___: Progress | None) -> None:
        raise LookupError("nothing to write to")

    caplog.set_level(logging.ERROR, "platform_events")
    with RouterThread(Router(settings, on_progress=fail)):
        await_caught_up(settings, NAME)
        publish(bus, "A__e", range(10))
        await_caught_up(settings, NAME)
    assert any("its progress cannot be shown" in one.message for one in caplog.records)
    check_channel(settings, NAME, everything("A__e")).assert_none()
