"""Reading through the service: one client, fifty on a hot stream, thirty replays."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.audit import audit_layout
from benchmarks.deployment import deployed
from benchmarks.events import FLIGHT
from benchmarks.runner import MeasurementError, Samples, run, started
from benchmarks.service.encoded import topic_of
from benchmarks.service.serving import served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.rivals.base import Target
    from benchmarks.runner import Worker
    from benchmarks.service.serving import Service

_LOADS = "benchmarks.service.subscribing"
CLIENTS = 50
LOADS = 2
"""Processes of the clients on a hot stream."""
REPLAYS = 30
_TIME_LIMIT = 300.0


@dataclass(frozen=True, slots=True)
class Reads:
    """How much is read."""

    stream: int
    """Events of the stream; replays begin every thirtieth of it, and all end at its end."""
    one: int
    """Events of one client, a multiple of 100."""
    each: int
    """Events of each client on a hot stream."""
    rounds: int
    """Turns of clients."""
    replays: int
    """Turns of replays."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A stream with events, and what was read from it once, decoded and compared."""

    target: Target
    reads: Reads
    order: dict[str, Any]
    """Of the first events, as many as one client reads."""
    prefix: int
    """Checksum of what a client on a hot stream gets."""
    suffixes: list[int]
    """Checksum of what each replay gets."""
    replay_ids: list[str | None]
    """Where each replay begins."""

    @property
    def positions(self) -> list[int]:
        """The offsets at which replays begin."""
        return _positions(self.reads)


def _positions(reads: Reads) -> list[int]:
    return [number * (reads.stream // REPLAYS) for number in range(REPLAYS)]


@contextmanager
def filled(
    bootstrap_servers: str, reads: Reads, progress: Callable[[str], None]
) -> Iterator[Filled]:
    """Give a stream of flights whose events are known.

    Raises:
        MeasurementError, RuntimeError: it cannot be filled, or the service gives other events than
            are in the log.
    """
    with deployed(bootstrap_servers, [FLIGHT]) as targets:
        target = targets[FLIGHT.event]
        aim = asdict(target)
        progress(f"service: filling a stream with {reads.stream:,} flights")
        job = {"target": aim, "rival": "bare", "flights": None, "parts": []}
        run("benchmarks.throughput:publish", job | {"count": reads.stream}, _TIME_LIMIT)
        audit_layout(target)
        whole, first = (
            run(f"{_LOADS}:consume_bare", {"target": aim, "count": count})["order"]
            for count in (reads.stream, reads.one)
        )
        with served(target) as service:
            found = run(
                f"{_LOADS}:read_reference",
                {
                    "address": service.plaintext,
                    "topic": topic_of(target),
                    "count": reads.stream,
                    "positions": _positions(reads),
                    "ends": [reads.each],
                },
                _TIME_LIMIT,
            )
        compare(found["order"], whole, reads.stream)
        yield Filled(
            target, reads, first, found["prefixes"][0], found["suffixes"], found["replay_ids"]
        )


def compare(found: dict[str, Any], expected: dict[str, Any], count: int) -> None:
    """Check that so many different events came in the order of the log.

    Raises:
        MeasurementError: they did not.
    """
    if found != expected or found["count"] != count or found["distinct"] != count:
        raise MeasurementError(f"{count} events expected, {expected} in the log, {found} came")


class _Course:
    """The ways to read the first events, in turn.

    Args:
        stream: what they read.
        service: through which.
    """

    def __init__(self, stream: Filled, service: Service) -> None:
        self._stream = stream
        self._service = service
        self.rates = {name: Samples() for name in ("bare", "client", "least", "hot")}
        """Events per second."""
        self.cpu = {name: Samples() for name in ("bare", "client")}
        """Processor time of the reading process, seconds per million events."""
        self.of_service = {name: Samples() for name in ("client", "least", "hot")}
        """Processor time of the service, seconds per million events."""
        self.share = {name: Samples() for name in ("least", "hot")}
        """Of a core that the service takes."""

    def run(self, name: str) -> None:
        """Take one turn."""
        turns = {
            "bare": self._bare,
            "client": self._client,
            "least": lambda: self._together(name, [1]),
            "hot": lambda: self._together(name, [CLIENTS // LOADS] * LOADS),
        }
        self.rates[name].record(turns[name])

    def _bare(self) -> float:
        return self._read("bare", "consume_bare", {"target": asdict(self._stream.target)})

    def _client(self) -> float:
        before = self._service.vitals.cpu
        rate = self._read("client", "subscribe", self._address)
        spent = self._service.vitals.cpu - before
        self.of_service["client"].values.append(spent / self._stream.reads.one * 1e6)
        return rate

    @property
    def _address(self) -> dict[str, str]:
        return {"address": self._service.plaintext, "topic": topic_of(self._stream.target)}

    def _read(self, name: str, function: str, job: dict[str, Any]) -> float:
        count = self._stream.reads.one
        found = run(f"{_LOADS}:{function}", job | {"count": count})
        compare(found["order"], self._stream.order, count)
        self.cpu[name].values.append(found["cpu"])
        return float(found["rate"])

    def _together(self, name: str, clients: Sequence[int]) -> float:
        each = self._stream.reads.each
        jobs = [self._address | {"clients": number, "count": each} for number in clients]
        with _loads([("follow_together", job) for job in jobs]) as loads:
            before = self._service.vitals.cpu
            seconds, found = finish(loads)
            spent = self._service.vitals.cpu - before
        for one in found:
            check_sums(one["checksums"], [self._stream.prefix] * len(one["checksums"]))
        # One event each came before.
        events = sum(clients) * (each - 1)
        self.of_service[name].values.append(spent / events * 1e6)
        self.share[name].values.append(spent / seconds)
        return events / seconds


def check_sums(found: Sequence[int], expected: Sequence[int]) -> None:
    """Check that each client got the bytes of the events it should, in order.

    Raises:
        MeasurementError: one did not.
    """
    wrong = sum(map(int.__ne__, found, expected))
    if wrong or len(found) != len(expected):
        raise MeasurementError(f"{wrong} of {len(expected)} clients got other events")


@contextmanager
def _loads(jobs: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[list[Worker]]:
    """Give loads that are ready.

    Raises:
        MeasurementError: one did not become ready.
    """
    with ExitStack() as stack:
        workers = [
            stack.enter_context(started(f"{_LOADS}:{function}", job)) for function, job in jobs
        ]
        for worker in workers:
            if worker.hear() != "ready":
                raise MeasurementError("a load did not become ready")
        yield workers


def finish(loads: Sequence[Worker]) -> tuple[float, list[Any]]:
    """Let loads begin; return the seconds until the last is done, and their results.

    Raises:
        MeasurementError: one failed.
    """
    start = time.monotonic()
    for load in loads:
        load.tell("go")
    for load in loads:
        load.hear()
    seconds = time.monotonic() - start
    return seconds, [load.result() for load in loads]


def measure_subscribing(stream: Filled, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return what one client and many reach, in turn with a loop without the service.

    Raises:
        MeasurementError: there is no service.
    """
    labels = {
        "bare": "a consume loop",
        "client": "one client",
        "least": "one of the least clients",
        "hot": f"{CLIENTS} of the least clients",
    }
    with served(stream.target) as service:
        course = _Course(stream, service)
        for turn in range(stream.reads.rounds):
            for name, label in labels.items():
                progress(f"service: reading {turn + 1}/{stream.reads.rounds}, {label}")
                course.run(name)
    parts = ("rates", "cpu", "of_service", "share")
    return {
        part: {name: samples.to_json() for name, samples in getattr(course, part).items()}
        for part in parts
    }


def measure_replays(stream: Filled, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return how fast thirty replays are, and thirty readers of their own, and their memory in MB.

    Raises:
        MeasurementError: they could not be measured.
    """
    rates = {name: Samples() for name in ("service", "alone")}
    cpu = {name: Samples() for name in rates}
    peaks: dict[str, list[float]] = {name: [] for name in rates}
    events = sum(stream.reads.stream - position for position in stream.positions)

    def replay() -> float:
        # A new one, whose peak is that of these replays.
        with served(stream.target) as service:
            job = {
                "address": service.plaintext,
                "topic": topic_of(stream.target),
                "replay_ids": stream.replay_ids,
                "end": stream.reads.stream,
            }
            with _loads([("replay", job)]) as loads:
                before = service.vitals.cpu
                seconds, (found,) = finish(loads)
                after = service.vitals
            cpu["service"].values.append((after.cpu - before) / events * 1e6)
            peaks["service"].append(after.peak)
        check_sums(found["checksums"], stream.suffixes)
        return events / seconds

    def alone() -> float:
        job = {
            "target": asdict(stream.target),
            "positions": stream.positions,
            "end": stream.reads.stream,
        }
        with _loads([("read_alone", job)]) as loads:
            seconds, (found,) = finish(loads)
        cpu["alone"].values.append(found["cpu"] / events * 1e6)
        peaks["alone"].append(found["peak"])
        return events / seconds

    for turn in range(stream.reads.replays):
        for name, measure in (("alone", alone), ("service", replay)):
            progress(f"service: {REPLAYS} replays {turn + 1}/{stream.reads.replays}, {name}")
            rates[name].record(measure)
    return {
        "events": events,
        "rates": {name: samples.to_json() for name, samples in rates.items()},
        "cpu": {name: samples.to_json() for name, samples in cpu.items()},
        "peaks": peaks,
    }
