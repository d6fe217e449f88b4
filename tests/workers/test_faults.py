"""What happens to workers, in short: `tests/faults/test_workers.py` has more and longer ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.errors import BrokerError, FencedError
from platform_events.kafka import members
from platform_events.kafka.offsets import read_committed
from platform_events.settings import Settings
from platform_events.testing import KafkaBroker
from platform_events.testing.tenancy import Tenancy
from platform_events.workers import commits, control, intake
from platform_events.workers.holes import LONGEST_METADATA
from platform_events.workers.letter_view import LetterFilter
from platform_events.workers.letters import SubscriptionLetters
from platform_events.workers.status import show_subscription
from tests.support import delete_by_hand, load, topic_of, wait_until
from tests.workers.crew import Crew, job_id, job_stream, publish_jobs
from tests.workers.noting import NAME, STREAM, Behaviour
from tests.workers.plain import commit

Define = Callable[..., None]
Hire = Callable[..., Crew]


@pytest.fixture
def bus(settings: Settings) -> Iterator[EventBus]:
    with EventBus(settings) as bus:
        yield bus


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


def letters(bus: EventBus) -> set[str]:
    """The event IDs of the dead letters."""
    return {one.event_id for one in SubscriptionLetters(bus, NAME).select(LetterFilter())}


def test_what_was_not_committed_is_handled_again(
    bus: EventBus, define: Define, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "COMMIT_SECONDS", 1.0)
    define(job_stream(partitions=2))
    publish_jobs(bus, range(900), keys=60)
    crew = hire(poison=90, seconds=0.02, options={"max_uncommitted": 100})
    for _ in range(3):
        worker = crew.begin(bus)
        crew.await_more(200)
        crew.kill(worker)
    worker = crew.begin(bus)
    crew.await_through()
    worker.end()
    poison = {job_id(number) for number in range(0, 900, 90)}
    assert crew.check(bus, poison=poison, most_again=100).again


def test_a_batch_of_which_all_is_done_is_passed(bus: EventBus, define: Define, hire: Hire) -> None:
    """Behind an event that waits, much is done; another process reads all of that again."""
    define(job_stream(partitions=2))
    publish_jobs(bus, range(4_000), keys=4_000)
    crew = hire(options={"max_uncommitted": 5_000, "grace": 0.5})
    waiting = crew.begin(bus, waits_for=job_id(0))
    crew.await_more(2 * 3_999)
    crew.cut_short(waiting)
    worker = crew.begin(bus)
    crew.await_through()
    worker.end()
    assert crew.check(bus, most_again=1).again == 1


def test_a_process_that_is_killed_is_replaced(bus: EventBus, define: Define, hire: Hire) -> None:
    define(job_stream(partitions=2))
    publish_jobs(bus, range(600), keys=60)
    crew = hire(seconds=0.1)
    victim = crew.start()
    crew.await_more(100)
    worker = crew.begin(bus)
    crew.kill(victim)
    crew.await_through()
    worker.end()
    crew.check(bus)


def test_a_key_that_fails_holds_up_nobody(bus: EventBus, define: Define, hire: Hire) -> None:
    define(job_stream(partitions=2))
    publish_jobs(bus, range(400), lambda number: "bad" if number % 20 == 7 else f"k{number % 30}")
    crew = hire(poison_key="bad", attempts=3)
    worker = crew.begin(bus)
    crew.await_through()
    worker.end()
    crew.check(bus, poison={job_id(number) for number in range(7, 400, 20)})


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_workers_come_and_go(bus: EventBus, define: Define, hire: Hire, protocol: str) -> None:
    define(job_stream(partitions=4))
    publish_jobs(bus, range(3_000), keys=100)
    crew = hire(seconds=0.02, options={"group_protocol": protocol})
    workers = [crew.begin(bus), crew.begin(bus)]
    crew.await_more(1)
    for turn in range(5):
        time.sleep(0.4)
        workers[turn].stop.set()
        workers.append(crew.begin(bus))
    crew.await_through()
    for worker in workers:
        worker.end()
        assert worker.error is None
    crew.check(bus)


def test_a_worker_that_slept_moves_nothing_that_is_anothers(
    bus: EventBus, define: Define, hire: Hire
) -> None:
    define(job_stream(partitions=2))
    publish_jobs(bus, range(100), keys=20)
    crew = hire(seconds=0.5, options={"group_protocol": "classic"})
    sleeper = crew.start()
    crew.await_more(40)
    # What is about to be begun would be begun when it wakes up.
    time.sleep(0.25)
    sleeper.pause()
    crew.killed.add(sleeper.name)
    worker = crew.begin(bus)
    crew.await_through()
    before = positions(bus.settings)
    sleeper.resume()
    publish_jobs(bus, range(100, 150), keys=20)
    wait_until(lambda: len({one.event for one in crew.handlings()}) == 150)
    now = positions(bus.settings)
    assert all(now[partition] >= offset for partition, offset in before.items())
    crew.await_through()
    sleeper.leave()
    worker.end()
    crew.check(bus)


def positions(settings: Settings) -> dict[int, int]:
    """The committed offsets."""
    places = [(topic_of(settings, STREAM), number) for number in range(2)]
    found = read_committed(settings, settings.namespace.worker(NAME), places)
    return {place[1]: one.offset for place, one in found.items()}


def test_a_commit_that_is_refused_comes_again_though_nothing_else_happens(
    bus: EventBus, define: Define, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[dict[int, BrokerError | None]] = []
    take = commits.Committer.take

    def take_first_as_refused(
        self: commits.Committer, outcomes: dict[int, BrokerError | None]
    ) -> None:
        if len(refused) < 3:
            refused.append(outcomes)
            outcomes = {number: FencedError("refused") for number in outcomes}
        take(self, outcomes)

    define(job_stream())
    publish_jobs(bus, range(10), keys=2)
    crew = hire()
    monkeypatch.setattr(commits.Committer, "take", take_first_as_refused)
    worker = crew.begin(bus)
    wait_until(lambda: len(refused) == 3)
    crew.await_through()
    worker.await_idle(bus)
    worker.kill()
    worker = crew.begin(bus)
    worker.await_ready()
    worker.end()
    assert crew.check(bus).again == 0


def test_what_came_between_two_runs_of_a_new_worker_is_handled(
    bus: EventBus, define: Define, hire: Hire
) -> None:
    define(job_stream(partitions=2))
    crew = hire(options={"start": "latest"})
    worker = crew.begin(bus)
    worker.await_ready()
    crew.kill(worker)
    publish_jobs(bus, range(20), keys=5)
    worker = crew.begin(bus)
    crew.await_through()
    worker.end()
    assert len(crew.handlings()) == 20
    crew.check(bus)


def test_positions_that_kafka_forgets_are_in_the_journal(
    bus: EventBus, define: Define, hire: Hire
) -> None:
    """With what was done behind an event that waits."""
    define(job_stream(partitions=2))
    publish_jobs(bus, range(50), keys=10)
    crew = hire(options={"grace": 0.5})
    waiting = crew.begin(bus, waits_for=job_id(3))
    crew.await_more(2 * 45)
    crew.cut_short(waiting)
    bus.admin.delete_group(bus.settings.namespace.worker(NAME))
    publish_jobs(bus, range(50, 100), keys=10)
    worker = crew.begin(bus)
    crew.await_through()
    worker.end()
    assert crew.check(bus, most_again=1).again == 1


def test_a_journal_that_takes_nothing_stops_what_needs_it_and_loses_nothing(
    bus: EventBus, define: Define, hire: Hire
) -> None:
    define(job_stream())
    crew = hire(poison_key="bad")
    worker = crew.begin(bus)
    worker.await_ready()
    journal = bus.settings.namespace.journal(NAME)
    bus.admin.configure(journal, {"max.message.bytes": "50"})
    publish_jobs(bus, range(100), lambda number: "bad" if number % 10 == 0 else f"k{number % 9}")
    wait_until(lambda: "journal cannot be written" in worker.runtime.health.obstacle)
    wait_until(lambda: len({one.event for one in crew.handlings() if one.is_complete}) == 90)
    assert not letters(bus)
    wait_until(lambda: any(journal in one for one in show_subscription(bus, NAME).troubles))
    bus.admin.configure(journal, {"max.message.bytes": "2000000"})
    crew.await_through()
    wait_until(lambda: not worker.runtime.health.obstacle)
    wait_until(lambda: not show_subscription(bus, NAME).troubles)
    worker.end()
    crew.check(bus, poison={job_id(number) for number in range(0, 100, 10)})


def test_a_journal_that_is_gone_stops_what_needs_it_until_the_worker_is_run_again(
    settings: Settings, bus: EventBus, define: Define, hire: Hire
) -> None:
    define(job_stream())
    publish_jobs(bus, range(5), keys=5)
    crew = hire(poison_key="bad", options={"grace": 2})
    with EventBus(settings.model_copy(update={"delivery_timeout": 2.0})) as impatient:
        run_without_journal(impatient, crew)
    worker = crew.begin(bus)
    crew.await_through()
    worker.end()
    crew.check(bus, poison={job_id(7)})


def run_without_journal(bus: EventBus, crew: Crew) -> None:
    worker = crew.begin(bus)
    crew.await_through()
    delete_by_hand(bus.settings, bus.settings.namespace.journal(NAME))
    publish_jobs(bus, range(5, 60), lambda number: "bad" if number == 7 else f"k{number % 9}")
    wait_until(lambda: "journal cannot be" in worker.runtime.health.obstacle)
    wait_until(lambda: len({one.event for one in crew.handlings() if one.is_complete}) == 59)
    crew.kill(worker)


def test_a_commit_may_say_exactly_so_much(bus: EventBus, define: Define) -> None:
    define(job_stream())
    commit(bus.settings, NAME, STREAM, {0: (0, "x" * LONGEST_METADATA)})
    with pytest.raises(KafkaException, match="OFFSET_METADATA_TOO_LARGE"):
        commit(bus.settings, NAME, STREAM, {0: (0, "x" * (LONGEST_METADATA + 1))})


def test_seeks_count_though_the_worker_is_killed(bus: EventBus, define: Define, hire: Hire) -> None:
    define(job_stream(partitions=2))
    publish_jobs(bus, range(200), keys=20)
    crew = hire()
    worker = crew.begin(bus)
    crew.await_through()
    for turn in range(2, 4):
        control.seek(bus, NAME, Start.LATEST)
        generation = control.seek(bus, NAME, Start.EARLIEST)
        worker.kill()
        worker = crew.begin(bus)
        assert not control.pending_partitions(bus, NAME, generation, timeout=30)
        crew.await_through()
        done = [one.event for one in crew.handlings()]
        assert all(done.count(job_id(number)) >= turn for number in range(200))
    worker.end()


def test_letters_are_redriven_twice_at_once_and_some_discarded(
    bus: EventBus, define: Define, hire: Hire, tmp_path: Path
) -> None:
    define(job_stream(partitions=2))
    publish_jobs(bus, range(120), lambda number: "never" if number % 30 == 0 else f"k{number % 7}")
    cured = tmp_path / "cured"
    crew = hire(poison=2, incurable="never", cured=str(cured), seconds=0.02)
    worker = crew.begin(bus)
    crew.await_through()
    assert len(letters(bus)) == 60
    cured.touch()
    redriving = [threading.Thread(target=redrive, args=(bus,)) for _ in range(2)]
    for thread in redriving:
        thread.start()
    doomed = SubscriptionLetters(bus, NAME)
    discarded = doomed.discard([one for one in doomed.select(LetterFilter()) if one.offset < 9])
    crew.await_more(20)
    worker.kill()
    worker = crew.begin(bus)
    for thread in redriving:
        thread.join()
    redrive(bus)
    incurable = {job_id(number) for number in range(0, 120, 30)}
    gone = {one.event_id for one in discarded}
    wait_until(lambda: letters(bus) <= incurable)
    worker.await_idle(bus)
    worker.end()
    assert letters(bus) | gone >= incurable
    done = {one.event for one in crew.handlings() if one.is_complete}
    assert done | gone | incurable == {job_id(number) for number in range(120)}


def redrive(bus: EventBus) -> None:
    found = SubscriptionLetters(bus, NAME)
    for _ in found.redrive(found.select(LetterFilter())):
        pass


def test_the_broker_hangs_while_a_worker_ends(
    kafka_broker: KafkaBroker, tenant: str, tmp_path: Path
) -> None:
    definitions = load(tmp_path / "schemas", job_stream(partitions=2))
    with (
        Tenancy(kafka_broker, tenant, definitions, is_breakable=True) as tenancy,
        EventBus(tenancy.settings) as bus,
    ):
        crew = Crew(tenancy.settings, tmp_path, Behaviour(seconds=0.2))
        publish_jobs(bus, range(200), keys=20)
        worker = crew.begin(bus)
        crew.await_more(60)
        with tenancy.break_broker("hang"):
            worker.stop.set()
            time.sleep(2.5)
        worker.end()
        assert worker.error is None
        worker = crew.begin(bus)
        crew.await_through()
        worker.end()
        crew.check(bus)


def test_a_handler_that_takes_longer_than_a_poll_may(
    bus: EventBus, define: Define, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "_POLL_INTERVAL_MS", 6_000)
    define(job_stream())
    publish_jobs(bus, range(1), keys=1)
    crew = hire(seconds=7.5, options={"group_protocol": "classic"})
    worker = crew.begin(bus)
    crew.await_through()
    worker.end()
    assert crew.check(bus).again == 0
