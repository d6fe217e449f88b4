"""Workers as processes, what they are given to do, and whether they have done it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from platform_events.bus.bus import EventBus
from platform_events.bus.values import EventMessage
from platform_events.errors import BrokerError
from platform_events.kafka.admin import Admin
from platform_events.kafka.offsets import GroupOffsets
from platform_events.settings import Settings
from platform_events.workers.letter_view import LetterFilter
from platform_events.workers.letters import SubscriptionLetters
from tests.support import topic_of, wait_until
from tests.workers.handlings import Findings, Handling, Published, check, read_notebook
from tests.workers.noting import NAME, STREAM, Behaviour, make_worker, to_environment
from tests.workers.running import Running

GENEROUS = 120.0
"""Seconds after which something is broken and not slow."""


def job_stream(partitions: int = 1) -> str:
    """Return the definition of what there is to do."""
    return f"""
        event: {STREAM}
        partitions: {partitions}
        partition_key: key
        fields:
          - {{name: key, type: string}}
          - {{name: number, type: long}}
    """


def job_id(number: int) -> str:
    """Return the event ID of a job."""
    return f"job-{number}"


def publish_jobs(bus: EventBus, numbers: Iterable[int], keys: int | Callable[[int], str]) -> None:
    """Publish jobs.

    Args:
        bus: of the tenant.
        numbers: of the jobs.
        keys: how many there are, in turn; or the key of a number.
    """
    key_of = keys if callable(keys) else lambda number: f"k{number % keys}"
    results = bus.publish_many(
        STREAM,
        (
            EventMessage({"key": key_of(number), "number": number}, job_id(number))
            for number in numbers
        ),
    )
    for result in results:
        assert result.error is None, result.error


def read_published(settings: Settings) -> list[Published]:
    """Return what was published, by what is in the log."""
    topic = topic_of(settings, STREAM)
    found: list[Published] = []
    with Admin(settings) as admin:
        described = admin.describe_one(topic)
        assert described is not None
        marks = admin.watermarks({topic: described.partitions})[topic]
    consumer = Consumer(
        {"bootstrap.servers": settings.bootstrap_servers, "group.id": "reader-of-jobs"}
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(len(marks))])
    wanted = sum(end - first for first, end in marks)
    while len(found) < wanted:
        for message in consumer.consume(10_000, 1.0):
            assert message.error() is None, message.error()
            headers = dict(message.headers() or ())
            key = message.key()
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            found.append(
                Published(
                    (headers["ce_id"] or b"").decode(),
                    partition,
                    offset,
                    None if key is None else repr(key),
                )
            )
    consumer.close()
    return found


class WorkerProcess:
    """A `platform-events work` of its own process."""

    def __init__(
        self, settings: Settings, behaviour: Behaviour, log: Path, arguments: Iterable[str]
    ) -> None:
        self.name = behaviour.process
        self.log = log
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PLATFORM_EVENTS_")},
            "PLATFORM_EVENTS_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "PLATFORM_EVENTS_TENANT": settings.tenant,
            **to_environment(behaviour),
        }
        program = [sys.executable, "-m", "platform_events.cli", "work", "tests.workers.noting:app"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*program, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def await_ready(self, seconds: float = GENEROUS) -> None:
        """Wait until it is in its group and knows where to begin."""

        def is_ready() -> bool:
            assert self._process.poll() is None, self.log.read_text()
            return f"{NAME}: ready" in self.log.read_text()

        wait_until(is_ready, seconds)

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait(20)

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = GENEROUS) -> int:
        """Wait for its end; return its status."""
        return self._process.wait(seconds)

    def leave(self) -> None:
        """End it as an orderly shutdown does."""
        self.stop()
        assert self.wait() == 0, self.log.read_text()

    def close(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                self.resume()
            self.kill()


class WorkerThread(Running):
    """A worker in a thread of this process, which costs less than a process of its own."""

    def __init__(self, bus: EventBus, behaviour: Behaviour, **options: Any) -> None:
        self.name = behaviour.process
        super().__init__(make_worker(behaviour), bus, **options)

    def await_idle(self, bus: EventBus) -> None:
        """Wait until all is handled, and that is committed, and nothing is redriven."""
        topic = topic_of(bus.settings, STREAM)
        described, through = bus.admin.describe_one(topic), threading.Event()
        marks = bus.admin.watermarks({topic: described.partitions if described else 0})[topic]
        assert self.runtime.intake is not None
        ends = {number: end for number, (_, end) in enumerate(marks)}
        self.runtime.intake.when_through(ends, through.set)
        assert through.wait(GENEROUS)

    def kill(self) -> None:
        """End it about as a power cut does, but that its place in the group is free at once."""
        self.runtime.abandon()
        self.join()

    def close(self) -> None:
        self.kill()


class Crew:
    """The workers of one test; none of them outlives it.

    Args:
        settings: which cluster and tenant.
        directory: for logs and the notebook.
        behaviour: what they do, but for where they write it.
    """

    def __init__(self, settings: Settings, directory: Path, behaviour: Behaviour) -> None:
        self._settings = settings
        self._directory = directory
        self._notebook = directory / "notebook"
        self._notebook.touch()
        self.behaviour = replace(behaviour, notebook=str(self._notebook))
        self._all: list[WorkerProcess | WorkerThread] = []
        self.killed: set[str] = set()
        """Names of processes that were, or lost partitions in another way without a commit."""

    def start(self, *arguments: str, **changes: Any) -> WorkerProcess:
        """Start a process, with these arguments for `work` and these changes in its behaviour."""
        behaviour = self._behave(changes)
        log = self._directory / f"{behaviour.process}.log"
        worker = WorkerProcess(self._settings, behaviour, log, arguments)
        self._all.append(worker)
        return worker

    def begin(self, bus: EventBus, **changes: Any) -> WorkerThread:
        """Start a thread, with these changes in its behaviour."""
        worker = WorkerThread(bus, self._behave(changes))
        self._all.append(worker)
        return worker

    def _behave(self, changes: dict[str, Any]) -> Behaviour:
        return replace(self.behaviour, process=f"w{len(self._all)}", **changes)

    def kill(self, worker: WorkerProcess | WorkerThread) -> None:
        """End one as a power cut does."""
        self.killed.add(worker.name)
        worker.kill()

    def cut_short(self, worker: WorkerThread) -> None:
        """End one in an orderly way, but for its handlers, which do not come to an end."""
        self.killed.add(worker.name)
        worker.end()

    def close(self) -> None:
        for worker in self._all:
            worker.close()

    def logs(self) -> str:
        processes = [one for one in self._all if isinstance(one, WorkerProcess)]
        return "".join(f"--- {one.name}\n{one.log.read_text()[-1000:]}" for one in processes)

    def handlings(self) -> list[Handling]:
        return read_notebook(self._notebook)

    def lines(self) -> int:
        """Return how many lines the notebook has."""
        with self._notebook.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))

    def await_more(self, lines: int, seconds: float = GENEROUS) -> None:
        """Wait until there are so many lines more than now in the notebook."""
        wanted = self.lines() + lines
        wait_until(lambda: self.lines() >= wanted, seconds)

    def await_through(self, seconds: float = GENEROUS) -> None:
        """Wait until the group has committed that everything is done."""
        deadline = time.monotonic() + seconds
        behind: object = "nobody knows"
        while behind:
            assert time.monotonic() < deadline, f"at, of: {behind}\n{self.logs()}"
            # A broker that was away may not answer yet.
            with suppress(BrokerError):
                behind = self._await_through(deadline)

    def _await_through(self, deadline: float) -> dict[int, tuple[int, int]]:
        """Do so, with clients that are made for it; return the partitions that are not through."""
        settings, topic = self._settings, topic_of(self._settings, STREAM)
        group = settings.namespace.worker(NAME)
        with Admin(settings) as admin, GroupOffsets(settings, group) as offsets:
            described = admin.describe_one(topic)
            places = [(topic, number) for number in range(described.partitions if described else 0)]
            while True:
                marks = admin.watermarks({topic: len(places)})[topic]
                found = offsets.read(places)
                behind = {
                    place[1]: (found[place].offset if place in found else -1, end)
                    for place, (_, end) in zip(places, marks, strict=True)
                    if place not in found or found[place].offset < end
                }
                if not behind or time.monotonic() > deadline:
                    return behind
                time.sleep(0.1)

    def check(
        self, bus: EventBus, *, poison: Collection[str] = (), most_again: int = 1000
    ) -> Findings:
        """Check all that was published and handled, and return what was found: nothing wrong."""
        letters = SubscriptionLetters(bus, NAME).select(LetterFilter())
        findings = check(
            read_published(self._settings),
            self.handlings(),
            dead_letters=[letter.event_id for letter in letters],
            poison=poison,
            killed=self.killed,
            most_again=most_again,
        )
        try:
            findings.assert_none()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None
        return findings
