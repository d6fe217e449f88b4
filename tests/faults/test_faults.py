"""Whatever happens to routers and brokers, each event is in its channel exactly once."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.kafka.local import LocalKafka
from platform_events.settings import Settings
from tests.channels.checking import Period, Stay, all_pass, check_channel, everything
from tests.channels.routing import (
    Define,
    await_caught_up,
    change_point,
    forget_positions,
    positions,
    starts_of,
    status_of,
)
from tests.channels.samples import channel, verdict
from tests.faults.documents import (
    ALL,
    DOCUMENTS,
    KEYED,
    NAMES,
    WIDE,
    A,
    B,
    assert_exactly_once,
)
from tests.faults.processes import (
    GENEROUS,
    Fleet,
    RouterProcess,
    await_more,
    has_open_transaction,
    publishing,
)
from tests.support import apply_texts, wait_until

pytestmark = pytest.mark.timeout(600)


def leader_pid(settings: Settings, name: str = ALL) -> int | None:
    (leader,) = status_of(settings, name).partitions
    return int(leader.leader.rpartition(":")[2]) if leader.leader else None


def await_leader(settings: Settings, among: Sequence[int]) -> int:
    """Wait until one of these processes leads; return which."""
    found: list[int] = []

    def leads() -> bool:
        pid = leader_pid(settings)
        found.append(pid or 0)
        return pid in among

    wait_until(leads, GENEROUS)
    return found[-1]


def test_routers_are_killed_ten_times(
    settings: Settings, bus: EventBus, define: Define, fleet: Fleet, source: random.Random
) -> None:
    define(*DOCUMENTS)
    total = 100_000
    with publishing(bus, NAMES, source, total=total, pause=0.02) as publisher:
        for number in range(10):
            router = fleet.start()
            if number % 3 == 2:
                # At any point of its start.
                time.sleep(source.uniform(0.1, 2.0))
            else:
                await_more(settings, ALL, source.randint(1, 6_000))
            router.kill()
        publisher.finish()
    fleet.start()
    assert assert_exactly_once(settings, bus) == total


def test_a_stopped_router_that_wakes_up_doubles_nothing(
    settings: Settings, bus: EventBus, define: Define, fleet: Fleet, source: random.Random
) -> None:
    define(*DOCUMENTS)
    routers = {router.pid: router for router in (fleet.start(), fleet.start())}
    caught = 0
    with publishing(bus, NAMES, source, pause=0.01):
        await_more(settings, ALL, 500)
        for _ in range(3):
            stopped = stop_within_a_transaction(settings, routers, source)
            caught += has_open_transaction(settings, ALL)
            # The other one takes over, and the one that slept finds out by being fenced.
            await_leader(settings, [pid for pid in routers if pid != stopped.pid])
            await_more(settings, ALL, 500)
            stopped.resume()
            await_more(settings, ALL, 500)
    assert caught > 0
    assert_exactly_once(settings, bus)


def stop_within_a_transaction(
    settings: Settings, routers: dict[int, RouterProcess], source: random.Random
) -> RouterProcess:
    """Stop the leader until it is found to have left a transaction open; give up after a while."""
    for _ in range(40):
        leader = routers[await_leader(settings, list(routers))]
        time.sleep(source.uniform(0.01, 0.2))
        leader.pause()
        if has_open_transaction(settings, ALL):
            return leader
        leader.resume()
    leader.pause()
    return leader


def test_routers_come_and_go_every_second(
    settings: Settings, bus: EventBus, define: Define, fleet: Fleet, source: random.Random
) -> None:
    more = [channel(f"More{number}__chn", "B__e") for number in range(4)]
    define(*DOCUMENTS, *more)
    fleet.start(), fleet.start()
    with publishing(bus, NAMES, source, total=60_000):
        await_more(settings, ALL, 500)
        for number in range(10):
            third = fleet.start()
            time.sleep(source.uniform(0.6, 1.4))
            third.kill() if number % 5 == 4 else third.leave()
    assert_exactly_once(settings, bus)
    names = [ALL, WIDE, *(f"More{number}__chn" for number in range(4))]
    await_caught_up(settings, *names)
    for name in names[2:]:
        check_channel(settings, name, everything("B__e")).assert_none()

    def all_live() -> bool:
        return all(
            one.state == "live" and one.leader for name in names
            for one in status_of(settings, name).partitions
        )  # fmt: skip

    wait_until(all_live, GENEROUS)


def test_the_broker_is_killed_and_comes_back(tmp_path: Path, source: random.Random) -> None:
    with LocalKafka() as kafka:
        settings = Settings(bootstrap_servers=kafka.bootstrap_servers, tenant="faults")
        apply_texts(settings, tmp_path / "schemas", *DOCUMENTS)
        fleet = Fleet(settings, tmp_path)
        try:
            fleet.start(), fleet.start()
            with EventBus(settings) as bus:
                with publishing(bus, NAMES, source):
                    for number in range(3):
                        await_more(settings, ALL, 2_000)
                        if number == 1:
                            kafka.pause()
                            time.sleep(3)
                            kafka.resume()
                        else:
                            kafka.kill()
                            kafka.restart()
                        await_more(settings, ALL, 500)
                assert_exactly_once(settings, bus)
        finally:
            fleet.close()


def test_definitions_change_while_routers_are_killed(
    settings: Settings, bus: EventBus, define: Define, fleet: Fleet, source: random.Random
) -> None:
    define(A, B, KEYED, channel(ALL, "A__e", "Keyed__e"))
    steps = [
        ('A__e filter: "n > 3000"', "Keyed__e", "B__e"),
        ('A__e filter: "n > 3000"', "B__e"),
        ("A__e", "B__e", "Keyed__e from: now"),
        ('A__e filter: "n < 0"', "Keyed__e from: now"),
        ("A__e", "Keyed__e from: now", "B__e"),
    ]
    changes: dict[int, Sequence[int]] = {}
    starts: Sequence[int] = ()
    router = fleet.start()
    with publishing(bus, NAMES, source, pause=0.03):
        await_more(settings, ALL, 2_000)
        for definition, members in enumerate(steps, 2):
            define(A, B, KEYED, channel(ALL, *members))
            if definition == 4:
                starts = starts_of(settings, ALL, "Keyed__e")
            if definition % 2:
                time.sleep(source.uniform(0, 0.5))
                router.kill()
                router = fleet.start()
            changes |= change_point(settings, ALL, definition)
            await_more(settings, ALL, source.randint(500, 2_000))
    await_caught_up(settings, ALL, seconds=GENEROUS)
    above = verdict(bus, "A__e", lambda payload: payload["n"] > 3000)
    none = verdict(bus, "A__e", lambda payload: payload["n"] < 0)
    stays = [
        Stay(
            "A__e",
            [Period(1, all_pass), Period(2, above), Period(4, all_pass), Period(5, none),
             Period(6, all_pass)],
        ),
        Stay("Keyed__e", [Period(1, all_pass)], dropped=3),
        Stay("Keyed__e", [Period(4, all_pass)], starts=starts),
        Stay("B__e", [Period(2, all_pass)], dropped=5),
        Stay("B__e", [Period(6, all_pass)]),
    ]  # fmt: skip
    assert starts
    check_channel(settings, ALL, stays, changes).assert_none()


def test_positions_are_lost_while_routers_are_down(
    settings: Settings, bus: EventBus, define: Define, fleet: Fleet, source: random.Random
) -> None:
    define(*DOCUMENTS)
    with publishing(bus, NAMES, source):
        for number in range(4):
            router = fleet.start()
            await_more(settings, ALL, source.randint(500, 4_000))
            if number == 3:
                break
            router.kill() if number == 1 else router.leave()
            forget_when_settled(settings)
    assert_exactly_once(settings, bus)


def forget_when_settled(settings: Settings) -> None:
    """Delete the positions when no transaction is open, whose end would bring them back."""

    def forget() -> bool:
        for name in (ALL, WIDE):
            if positions(settings, name):
                forget_positions(settings, name)
        return not (positions(settings, ALL) or positions(settings, WIDE))

    wait_until(lambda: not has_open_transaction(settings, ALL), GENEROUS)
    wait_until(forget, GENEROUS)


def test_what_a_dead_router_had_is_taken_over(
    settings: Settings,
    bus: EventBus,
    define: Define,
    fleet: Fleet,
    source: random.Random,
    capsys: pytest.CaptureFixture[str],
) -> None:
    define(*DOCUMENTS)
    routers = {router.pid: router for router in (fleet.start(), fleet.start())}
    times = []
    with publishing(bus, NAMES, source):
        for _ in range(3):
            await_more(settings, ALL, 500)
            dead = routers.pop(await_leader(settings, list(routers)))
            dead.kill()
            began = time.monotonic()
            await_more(settings, ALL, 500, 40)
            times.append(time.monotonic() - began)
            router = fleet.start()
            routers[router.pid] = router
    with capsys.disabled():
        print(f"\ntaken over from a dead router in {', '.join(f'{one:.1f} s' for one in times)}")
    assert_exactly_once(settings, bus)
