"""Whatever happens to workers, each event is handled at least once, those of a key in order."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.kafka.local import LocalKafka
from platform_events.kafka.offsets import read_committed
from platform_events.settings import Settings
from platform_events.workers import control
from platform_events.workers.holes import Saved, decode
from platform_events.workers.letter_view import LetterFilter
from platform_events.workers.letters import SubscriptionLetters
from tests.support import apply_texts, topic_of, wait_until
from tests.workers.crew import (
    Crew,
    WorkerThread,
    job_id,
    job_stream,
    publish_jobs,
    read_published,
)
from tests.workers.noting import NAME, STREAM, Behaviour

pytestmark = pytest.mark.timeout(900)

Define = Callable[..., None]
Hire = Callable[..., Crew]


@pytest.fixture
def hire(settings: Settings, tmp_path: Path) -> Iterator[Hire]:
    """Get workers that behave so."""
    crews: list[Crew] = []

    def hire(**behaviour: object) -> Crew:
        crews.append(Crew(settings, tmp_path, Behaviour(**behaviour)))  # type: ignore[arg-type]
        return crews[-1]

    yield hire
    for crew in crews:
        crew.close()


def positions(settings: Settings, partitions: int) -> dict[int, int]:
    """The committed offsets."""
    places = [(topic_of(settings, STREAM), number) for number in range(partitions)]
    found = read_committed(settings, settings.namespace.worker(NAME), places)
    return {place[1]: one.offset for place, one in found.items()}


def test_a_worker_is_killed_twenty_times(
    bus: EventBus, define: Define, hire: Hire, source: random.Random
) -> None:
    """What was finished since the last commit is handled again, and only that."""
    define(job_stream(partitions=2))
    publish_jobs(bus, range(60_000), keys=100)
    crew = hire(commit_seconds=1.0, seconds=0.002, poison=997)
    for number in range(20):
        worker = crew.start()
        if number % 4 == 3:
            # At any point of its start.
            time.sleep(source.uniform(0.1, 2.0))
        else:
            crew.await_more(source.randint(1, 5_000))
        crew.kill(worker)
    worker = crew.start()
    crew.await_through()
    poison = {job_id(number) for number in range(0, 60_000, 997)}
    findings = crew.check(bus, poison=poison)
    assert findings.again, "nothing was handled again, so the kills were no test"
    worker.leave()


def test_one_event_in_a_hundred_is_poison(
    bus: EventBus, define: Define, hire: Hire, source: random.Random
) -> None:
    define(job_stream(partitions=4))
    publish_jobs(bus, range(40_000), keys=500)
    crew = hire(poison=100, attempts=3, commit_seconds=0.2)
    first, second = crew.start(), crew.start()
    for _ in range(4):
        crew.await_more(source.randint(1, 5_000))
        crew.kill(first)
        first = crew.start()
    crew.await_through()
    poison = {job_id(number) for number in range(0, 40_000, 100)}
    crew.check(bus, poison=poison)
    first.leave()
    second.leave()


def test_a_key_that_fails_for_ever_holds_up_nobody(
    bus: EventBus, define: Define, hire: Hire
) -> None:
    def key_of(number: int) -> str:
        return "bad" if number % 1_000 == 7 else f"k{number % 300}"

    total = 500_000
    define(job_stream(partitions=2))
    publish_jobs(bus, range(total), key_of)
    crew = hire(poison_key="bad", attempts=5)
    worker = crew.start()
    crew.await_through(400)
    crew.check(bus, poison={job_id(number) for number in range(7, total, 1_000)})
    worker.leave()


def test_a_key_that_is_stopped_has_all_its_events_parked(
    bus: EventBus, define: Define, hire: Hire, source: random.Random
) -> None:
    def key_of(number: int) -> str:
        return "bad" if number % 100 == 7 else f"k{number % 300}"

    define(job_stream(partitions=2))
    publish_jobs(bus, range(30_000), key_of)
    crew = hire(poison_key="bad", commit_seconds=0.5, options={"on_failure": "stop-key"})
    for _ in range(4):
        worker = crew.start()
        crew.await_more(source.randint(1, 5_000))
        crew.kill(worker)
    worker = crew.start()
    crew.await_through()
    crew.check(bus, poison={job_id(number) for number in range(7, 30_000, 100)})
    cured = Path(crew.behaviour.notebook).with_name("cured")
    worker.leave()
    cured.touch()
    worker = crew.start(cured=str(cured))
    control.resume(bus, NAME)
    wait_until(lambda: not SubscriptionLetters(bus, NAME).select(LetterFilter()))
    publish_jobs(bus, range(30_000, 30_100), key_of)
    crew.await_through()
    worker.leave()
    bad = [
        int(one.event.removeprefix("job-"))
        for one in crew.handlings()
        if one.is_complete and key_of(int(one.event.removeprefix("job-"))) == "bad"
    ]
    assert sorted(set(bad)) == list(dict.fromkeys(bad)) == list(range(7, 30_100, 100))


def test_more_holes_than_a_commit_can_say(
    bus: EventBus, define: Define, hire: Hire, settings: Settings, tmp_path: Path
) -> None:
    """Each other event waits, so that the bitmap ends before the last of them."""
    define(job_stream())
    publish_jobs(bus, range(52_000), keys=52_000)
    cured = tmp_path / "cured"
    options = {"max_uncommitted": 100_000, "max_bytes": 100_000_000}
    crew = hire(late=2, cured=str(cured), attempts=10, options=options)
    worker = crew.start()
    place = (topic_of(settings, STREAM), 0)

    def saved() -> Saved:
        found = read_committed(settings, settings.namespace.worker(NAME), [place])
        return decode(0, found[place].metadata if place in found else "")

    wait_until(lambda: saved().high == 25_600)
    assert saved().holes == tuple(range(0, 25_600, 2))
    crew.kill(worker)
    worker = crew.start()
    wait_until(lambda: len({one.event for one in crew.handlings() if one.is_complete}) == 26_000)
    cured.touch()
    crew.await_through()
    crew.check(bus, most_again=100_000)
    worker.leave()


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_workers_come_and_go_all_the_time(
    bus: EventBus, define: Define, hire: Hire, source: random.Random, protocol: str
) -> None:
    """With KIP-848 work goes on meanwhile; without, it is done when that ends."""
    define(job_stream(partitions=8))
    publish_jobs(bus, range(40_000), keys=400)
    crew = hire(seconds=0.1, options={"group_protocol": protocol})
    workers = [crew.begin(bus) for _ in range(4)]
    leaving: list[WorkerThread] = []
    crew.await_more(1)
    seen = [crew.lines()]
    for turn in range(40):
        time.sleep(0.5)
        worker = workers.pop(source.randrange(len(workers)))
        worker.stop.set()
        leaving.append(worker)
        workers.append(crew.begin(bus))
        if turn % 10 == 9:
            seen.append(crew.lines())
    if protocol == "consumer":
        assert seen == sorted(set(seen))
    crew.await_through()
    for worker in (*workers, *leaving):
        worker.end()
        assert worker.error is None
    crew.check(bus)


def test_one_leaves_while_another_comes(bus: EventBus, define: Define, hire: Hire) -> None:
    define(job_stream(partitions=4))
    crew = hire(seconds=0.01, options={"group_protocol": "classic"})
    worker = crew.begin(bus)
    for turn in range(10):
        publish_jobs(bus, range(turn * 1_000, turn * 1_000 + 1_000), keys=100)
        worker.await_ready()
        following = crew.begin(bus)
        time.sleep(turn * 0.15)
        worker.end()
        assert worker.error is None
        worker = following
    crew.await_through()
    worker.end()
    crew.check(bus)


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_worker_that_slept_moves_nothing_that_is_anothers(
    bus: EventBus, define: Define, hire: Hire, settings: Settings, protocol: str
) -> None:
    define(job_stream(partitions=2))
    publish_jobs(bus, range(400), keys=50)
    crew = hire(seconds=0.5, options={"group_protocol": protocol})
    sleeper = crew.start()
    crew.await_more(100)
    # What is about to be begun would be begun when it wakes up.
    time.sleep(0.25)
    sleeper.pause()
    crew.killed.add(sleeper.name)
    worker = crew.start()
    crew.await_through()
    before = positions(settings, 2)
    sleeper.resume()
    publish_jobs(bus, range(400, 600), keys=50)
    time.sleep(1.0)
    now = positions(settings, 2)
    assert all(now[partition] >= offset for partition, offset in before.items())
    crew.await_through()
    sleeper.leave()
    worker.leave()
    crew.check(bus)


def test_a_handler_that_takes_longer_than_a_poll_may(
    bus: EventBus, define: Define, hire: Hire
) -> None:
    define(job_stream(partitions=2))
    # What the group may have to wait for, when partitions move, has to be shorter.
    crew = hire(seconds=20.0, poll_seconds=12.0)
    workers = [crew.start(), crew.start()]
    for worker in workers:
        worker.await_ready()
    time.sleep(5.0)
    publish_jobs(bus, range(4), keys=4)
    crew.await_through()
    for worker in workers:
        worker.leave()
    findings = crew.check(bus)
    assert findings.again == 0


def test_the_broker_stands_still_while_a_worker_ends(
    settings: Settings, define: Define, tmp_path: Path
) -> None:
    with LocalKafka() as kafka:
        settings = settings.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers})
        apply_texts(settings, tmp_path / "schemas", job_stream(partitions=2))
        crew = Crew(settings, tmp_path, Behaviour(seconds=0.3))
        try:
            with EventBus(settings) as bus:
                publish_jobs(bus, range(2_000), keys=200)
                worker = crew.start()
                crew.await_more(200)
                worker.stop()
                kafka.pause()
                time.sleep(12)
                kafka.resume()
                # The broker may have forgotten its members when it wakes up.
                if worker.wait() != 0:
                    assert "could be committed" in worker.log.read_text()
                    crew.killed.add(worker.name)
                worker = crew.start()
                crew.await_through()
                crew.check(bus)
                worker.leave()
        finally:
            crew.close()


def test_the_broker_stays_away_while_a_worker_ends(settings: Settings, tmp_path: Path) -> None:
    with LocalKafka() as kafka:
        settings = settings.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers})
        apply_texts(settings, tmp_path / "schemas", job_stream(partitions=2))
        crew = Crew(settings, tmp_path, Behaviour(seconds=0.3))
        try:
            with EventBus(settings) as bus:
                publish_jobs(bus, range(2_000), keys=200)
                worker = crew.start("--grace", "5")
                crew.await_more(200)
                kafka.pause()
                worker.stop()
                assert worker.wait(40) == 1, worker.log.read_text()
                kafka.resume()
                crew.killed.add(worker.name)
                worker = crew.start()
                crew.await_through()
                crew.check(bus)
                worker.leave()
        finally:
            crew.close()


def test_a_seek_counts_though_the_worker_is_killed(
    bus: EventBus, define: Define, hire: Hire, source: random.Random
) -> None:
    define(job_stream(partitions=4))
    publish_jobs(bus, range(2_000), keys=50)
    crew = hire()
    worker = crew.start()
    crew.await_through()
    for turn in range(1, 5):
        generation = control.seek(bus, NAME, Start.EARLIEST)
        time.sleep(source.uniform(0, 0.2))
        worker.kill()
        worker = crew.start()
        assert not control.pending_partitions(bus, NAME, generation, timeout=60)
        crew.await_through()
        counts = Counter(one.event for one in crew.handlings() if one.is_complete)
        assert len(counts) == 2_000
        assert min(counts.values()) > turn
    assert_in_order(crew, read_keys(bus.settings))
    worker.leave()


def read_keys(settings: Settings) -> dict[str, list[str]]:
    """The events of each key, in order."""
    keys: dict[str, list[str]] = {}
    for one in sorted(read_published(settings), key=lambda one: one.offset):
        keys.setdefault(str(one.key), []).append(one.event)
    return keys


def assert_in_order(crew: Crew, keys: dict[str, list[str]]) -> None:
    """The last handlings of each key are in order."""
    last = {one.event: number for number, one in enumerate(crew.handlings())}
    for events in keys.values():
        numbers = [last[event] for event in events]
        assert numbers == sorted(numbers)


def test_letters_are_redriven_by_two_who_are_killed(
    bus: EventBus, define: Define, hire: Hire, source: random.Random, tmp_path: Path
) -> None:
    def key_of(number: int) -> str:
        return "never" if number % 40 == 0 else f"k{number % 20}"

    define(job_stream(partitions=2))
    publish_jobs(bus, range(800), key_of)
    cured = tmp_path / "cured"
    crew = hire(poison=2, incurable="never", cured=str(cured))
    worker = crew.start()
    crew.await_through()
    letters = SubscriptionLetters(bus, NAME).select(LetterFilter())
    assert len(letters) == 400
    cured.touch()
    for _ in range(3):
        commands = [redrive(bus.settings, "--rate", "200") for _ in range(2)]
        time.sleep(source.uniform(1.0, 2.5))
        for command in commands:
            command.kill()
            command.wait(20)
        crew.kill(worker)
        worker = crew.start()
    doomed = SubscriptionLetters(bus, NAME)
    discarded = doomed.discard(
        [one for one in doomed.select(LetterFilter()) if one.offset % 10 == 0]
    )
    command = redrive(bus.settings)
    assert command.wait(60) == 0
    incurable = {job_id(number) for number in range(0, 800, 40)}
    gone = {letter.event_id for letter in discarded}

    def left() -> set[str]:
        found = SubscriptionLetters(bus, NAME).select(LetterFilter())
        return {letter.event_id for letter in found}

    wait_until(lambda: left() <= incurable)
    crew.await_through()
    worker.leave()
    assert left() | gone >= incurable
    done = {one.event for one in crew.handlings() if one.is_complete}
    assert done | gone | incurable == {job_id(number) for number in range(800)}
    redriven = [one for one in crew.handlings() if one.is_redrive]
    assert {one.event for one in redriven} <= {letter.event_id for letter in letters}
    twice = [event for event, count in Counter(
        one.event for one in redriven if one.is_complete
    ).items() if count > 1]  # fmt: skip
    # Only a worker that is killed between a handling and its tombstone makes one come again.
    assert len(twice) <= 3 * 200


def redrive(settings: Settings, *arguments: str) -> subprocess.Popen[bytes]:
    """Begin to redrive all letters, from a process."""
    program = [sys.executable, "-m", "platform_events.cli"]
    cluster = ["--bootstrap-servers", settings.bootstrap_servers, "--tenant", settings.tenant]
    return subprocess.Popen(
        [*program, *cluster, "dead-letters", "redrive", NAME, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def test_a_static_member_is_killed_and_comes_back(
    bus: EventBus, define: Define, hire: Hire
) -> None:
    define(job_stream(partitions=2))
    publish_jobs(bus, range(4_000), keys=100)
    crew = hire(seconds=0.02, options={"group_protocol": "consumer"})
    other = crew.start("--instance-id", "two")
    for _ in range(3):
        worker = crew.start("--instance-id", "one")
        crew.await_more(300)
        crew.kill(worker)
    worker = crew.start("--instance-id", "one")
    crew.await_through()
    crew.check(bus)
    worker.leave()
    other.leave()


def test_positions_are_forgotten_while_nobody_works(
    bus: EventBus, define: Define, hire: Hire
) -> None:
    define(job_stream(partitions=3))
    crew = hire()
    for turn in range(4):
        publish_jobs(bus, range(turn * 500, turn * 500 + 500), keys=30)
        worker = crew.start()
        crew.await_through()
        worker.leave()
        bus.admin.delete_group(bus.settings.namespace.worker(NAME))
    assert crew.check(bus).again == 0
