"""Feeders that take long to end: nobody waits for them, and nothing is doubled or lost by that."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator

import pytest

from platform_events.bus.bus import EventBus
from platform_events.channels import router as router_module
from platform_events.channels.transfer import Transfer
from platform_events.settings import Settings
from tests.channels.checking import check_channel, everything
from tests.channels.routing import Define, StartRouter, await_caught_up, publish
from tests.channels.samples import channel, event
from tests.support import PATIENCE, topic_of, wait_until

ONE, TWO = "One__chn", "Two__chn"


class Gate:
    """Holds the next commit of each of some channels, while its transaction has records."""

    def __init__(self) -> None:
        self._let_go: dict[str, threading.Event] = {}
        self.held: set[str] = set()

    def hold(self, *channels: str) -> None:
        self._let_go = {name: threading.Event() for name in channels}

    def let_go(self, channel: str) -> None:
        self._let_go[channel].set()

    def let_all_go(self) -> None:
        for name in self._let_go:
            self.let_go(name)

    def wait(self, channel: str) -> None:
        if channel in self._let_go and channel not in self.held:
            self.held.add(channel)
            assert self._let_go[channel].wait(PATIENCE * 3)


@pytest.fixture
def gate(start_router: StartRouter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Return what holds commits; it lets go before the routers are stopped."""
    gate, commit = Gate(), Transfer.commit

    def commit_later(self: Transfer, *, everything: bool = False) -> None:
        if self.has_records:
            gate.wait(self.destination.channel)
        commit(self, everything=everything)

    monkeypatch.setattr(Transfer, "commit", commit_later)
    yield gate
    gate.let_all_go()


def test_another_router_takes_over_and_gives_back_while_a_feeder_still_ends(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A callback that waited would wait for ever, and so would the group.
    monkeypatch.setattr(router_module, "_STOP_SECONDS", math.inf)
    define(event("A__e"), channel(ONE, "A__e"), channel(TWO, "A__e"))
    first = start_router()
    wait_until(lambda: first.leads(ONE) and first.leads(TWO))
    gate.hold(ONE, TWO)
    publish(bus, "A__e", range(10))
    wait_until(lambda: gate.held == {ONE, TWO})
    old = first.feeders
    second = start_router()
    wait_until(lambda: second.leads(ONE) or second.leads(TWO))
    moved = ONE if second.leads(ONE) else TWO
    key = (topic_of(settings, moved), 0)
    await_caught_up(settings, moved)
    check_channel(settings, moved, everything("A__e")).assert_none()
    before = len(first.states)
    second.stop()
    wait_until(lambda: key in first.feeders)
    # It is this router's again, and waits for the one it had, which still has a transaction open.
    assert not old[key].task.join(0)
    assert not first.feeders[key].task.is_started
    assert first.feeders[key].report().state == "taking over"
    gate.let_go(moved)

    def said_since() -> set[str]:
        return {state for name, _, state, _ in first.states[before:] if name == moved}

    wait_until(lambda: "live" in said_since())
    assert old[key].task.join(0)
    # What came of the old transaction is no state of a partition that another took over.
    assert said_since() == {"taking over", "live"}
    gate.let_all_go()
    publish(bus, "A__e", range(10, 20))
    await_caught_up(settings, ONE, TWO)
    for name in (ONE, TWO):
        check_channel(settings, name, everything("A__e")).assert_none()


def test_a_router_that_ends_waits_for_a_feeder_that_hangs_but_not_for_ever(
    settings: Settings,
    bus: EventBus,
    define: Define,
    start_router: StartRouter,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(router_module, "_STOP_SECONDS", 0.1)
    define(event("A__e"), channel(ONE, "A__e"))
    first = start_router()
    wait_until(lambda: first.leads(ONE))
    gate.hold(ONE)
    publish(bus, "A__e", range(10))
    wait_until(lambda: gate.held == {ONE})
    (hanging,) = first.feeders.values()
    with caplog.at_level(logging.WARNING, "platform_events"):
        first.stop()
    assert f"feed-{ONE}[0] does not end" in caplog.text
    assert not hanging.task.join(0)
    second = start_router()
    wait_until(lambda: second.leads(ONE))
    await_caught_up(settings, ONE)
    gate.let_go(ONE)
    assert hanging.task.join(PATIENCE)
    # Fenced by then, it has nothing to say about what others lead.
    assert first.unsaid == set()
    publish(bus, "A__e", range(10, 20))
    await_caught_up(settings, ONE)
    check_channel(settings, ONE, everything("A__e")).assert_none()
    assert second.leads(ONE)
