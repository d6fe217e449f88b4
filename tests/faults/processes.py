"""Routers as processes, and a publisher that does not stop, for tests of injected faults."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from platform_events.bus.bus import EventBus
from platform_events.bus.values import EventMessage
from platform_events.errors import BrokerError
from platform_events.settings import Settings
from tests.channels.routing import log_ends
from tests.support import topic_of, wait_until

GENEROUS = 90.0
"""Seconds after which something is broken and not slow."""


class RouterProcess:
    """A `platform-events route` of its own process."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.log = log
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PLATFORM_EVENTS_")},
            "PLATFORM_EVENTS_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "PLATFORM_EVENTS_TENANT": settings.tenant,
        }
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "platform_events.cli", "route"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait(20)

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def leave(self) -> None:
        """End it as an orderly shutdown does; one that still loads would just die."""
        wait_until(lambda: "routing channels" in self.log.read_text(), GENEROUS)
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(40) == 0, self.log.read_text()

    def close(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                self.resume()
            self.kill()


class Fleet:
    """The routers of one test; none of them outlives it."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self._settings = settings
        self._directory = directory
        self._all: list[RouterProcess] = []

    def start(self) -> RouterProcess:
        log = self._directory / f"router-{len(self._all)}.log"
        router = RouterProcess(self._settings, log)
        self._all.append(router)
        return router

    def close(self) -> None:
        for router in self._all:
            router.close()

    def logs(self) -> str:
        return "".join(router.log.read_text() for router in self._all)


class Publisher:
    """Publishes to some events from a thread, in batches of random size, up to a total."""

    def __init__(
        self, bus: EventBus, names: Sequence[str], source: random.Random, total: int, pause: float
    ) -> None:
        self.count = 0
        self.pause = pause
        """Seconds between two batches."""
        self._bus = bus
        self._names = names
        self._source = random.Random(source.random())
        self._total = total
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="publisher")
        self._thread.start()

    def finish(self) -> None:
        """Wait until everything is published."""
        self._thread.join(300)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Publish no more."""
        self._stopping.set()
        self.finish()

    def _run(self) -> None:
        try:
            while self.count < self._total and not self._stopping.is_set():
                name = self._source.choice(self._names)
                size = min(self._source.randint(1, 400), self._total - self.count)
                self._publish(
                    name,
                    [
                        EventMessage(
                            {"n": self.count + at, "text": "x" * self._source.randint(0, 80)}
                        )
                        for at in range(size)
                    ],
                )
                self.count += size
                self._stopping.wait(self.pause)
        except BaseException as error:
            self._failure = error
            raise

    def _publish(self, name: str, messages: list[EventMessage]) -> None:
        """Publish until everything is stored; what a broker's end leaves open comes twice."""
        while messages:
            try:
                results = self._bus.publish_many(name, messages)
            except BrokerError:
                if self._stopping.wait(0.2):
                    return
                continue
            messages = [
                EventMessage(message.payload, result.event_id)
                for message, result in zip(messages, results, strict=True)
                if result.error is not None
            ]


@contextmanager
def publishing(
    bus: EventBus,
    names: Sequence[str],
    source: random.Random,
    *,
    total: int = 10**9,
    pause: float = 0.05,
) -> Iterator[Publisher]:
    """Publish as long as the context lasts, at most `total` events."""
    publisher = Publisher(bus, names, source, total, pause)
    try:
        yield publisher
    finally:
        publisher.stop()


def await_more(settings: Settings, name: str, count: int, seconds: float = GENEROUS) -> None:
    """Wait until a channel has so many records more than now."""
    topic = topic_of(settings, name)
    before = sum(log_ends(settings, topic))
    wait_until(lambda: sum(log_ends(settings, topic)) >= before + count, seconds)


def has_open_transaction(settings: Settings, name: str) -> bool:
    """Whether a channel has records that are neither committed nor aborted."""
    client = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    partition = TopicPartition(topic_of(settings, name), 0)

    def end(isolation: IsolationLevel) -> int:
        futures = client.list_offsets({partition: OffsetSpec.latest()}, isolation_level=isolation)
        return int(futures[partition].result(20).offset)

    return end(IsolationLevel.READ_COMMITTED) < end(IsolationLevel.READ_UNCOMMITTED)
