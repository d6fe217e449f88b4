"""Events per second through a channel: the router beside a loop written by hand.

Both read the same three topics, filled once, in a process of their own, and write into an empty
topic. The clock is the broker's: from the append time of the first record written to that of the
last one, so what either process does before and after that, such as starting or noticing that a
channel was defined, does not count. Processor time is read from outside: for the loop from when it
is connected and has its transactional producer, for the router from when it idles without a
channel; until either says that it has caught up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.channels.flights import EVERYTHING, LATE_FROM_JFK, MEMBERS, write_events
from benchmarks.channels.logs import read_log
from benchmarks.channels.routers import RouterProcess
from benchmarks.channels.stage import Members, Stage, staged
from benchmarks.deployment import LOG_LEVEL, show_schema
from benchmarks.events import Digest, digest
from benchmarks.processes import read_cpu
from benchmarks.runner import MeasurementError, Samples, run, started

if TYPE_CHECKING:
    from collections.abc import Callable

ROUTER = "router"
LOOPS = {"loop-1000": 1_000, "loop-5000": 5_000}
"""The loop with transactions of so many records; the better one counts."""
FILTERS: dict[str, Members] = {"all": EVERYTHING, "passing": LATE_FROM_JFK}
"""What passes, by the name of the digest of its event IDs."""
LABELS = {"all": "no filters", "passing": "filters"}
_ROUTE_TIME_LIMIT = 120.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn took."""

    rate: float
    """Member events per second, whether they passed or not."""
    cpu: float
    """Processor microseconds per member event."""


@dataclass(slots=True)
class Turns:
    """All turns of one way."""

    rate: Samples = field(default_factory=Samples)
    cpu: Samples = field(default_factory=Samples)

    def record(self, measure: Callable[[], Turn]) -> None:
        """Add a turn, whether it succeeds or fails."""

        def take_rate() -> float:
            turn = measure()
            self.cpu.values.append(turn.cpu)
            return turn.rate

        self.rate.record(take_rate)

    def to_json(self) -> dict[str, Any]:
        """Return the turns for the results."""
        return {"rate": self.rate.to_json(), "cpu": self.cpu.to_json()}


class Routing:
    """The comparison.

    Args:
        bootstrap_servers: a running broker.
        per_member: events of each member.
        rounds: turns of each way, without filters and with.
        progress: is called with a line about what comes next.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        per_member: int,
        rounds: int,
        progress: Callable[[str], None],
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._per_member = per_member
        self._rounds = rounds
        self._progress = progress
        self._count = 0
        """Output topics so far: each turn has one of its own."""

    def run(self) -> dict[str, Any]:
        """Return for each set of filters what passes, and the turns of each way.

        Raises:
            MeasurementError, RuntimeError: the members could not be filled.
        """
        with staged(self._bootstrap_servers, write_events) as stage:
            self._progress("routing: filling the members")
            filled = run(
                "benchmarks.channels.flights:publish_evenly",
                {
                    "bootstrap_servers": self._bootstrap_servers,
                    "tenant": stage.tenant,
                    "per_member": self._per_member,
                },
            )
            schemas = {
                event: show_schema(event, self._bootstrap_servers, stage.tenant)["schema"]
                for event in MEMBERS
            }
            expected = {name: Digest(**filled[name]) for name in FILTERS}
            found = {name: {way: Turns() for way in (ROUTER, *LOOPS)} for name in FILTERS}
            for turn in range(self._rounds):
                for name, ways in found.items():
                    for way, turns in ways.items():
                        self._progress(f"routing, {LABELS[name]} {turn + 1}/{self._rounds}, {way}")
                        turns.record(
                            lambda: self._take_turn(stage, schemas, way, name, expected[name])  # noqa: B023
                        )
        cases = [
            {
                "label": LABELS[name],
                "events": self._events,
                "passing": expected[name].count,
                "turns": {way: turns.to_json() for way, turns in ways.items()},
            }
            for name, ways in found.items()
        ]
        return {"cases": cases}

    @property
    def _events(self) -> int:
        return self._per_member * len(MEMBERS)

    def _take_turn(
        self, stage: Stage, schemas: dict[str, Any], way: str, filters: str, expected: Digest
    ) -> Turn:
        self._count += 1
        output = f"Turn_{self._count}__chn"
        try:
            if way == ROUTER:
                cpu = _route(stage, output, FILTERS[filters])
            else:
                cpu = self._loop(
                    stage, output, schemas, LOOPS[way], is_filtered=filters == "passing"
                )
            seconds = _check_output(stage, output, expected)
        finally:
            stage.set_channels({})
        return Turn(self._events / seconds, cpu / self._events * 1e6)

    def _loop(
        self, stage: Stage, output: str, schemas: dict[str, Any], batch: int, *, is_filtered: bool
    ) -> float:
        """Let the loop fill a topic and return the seconds of processor time that it took."""
        topic = stage.topic(output)
        admin = AdminClient({"bootstrap.servers": self._bootstrap_servers, "log_level": LOG_LEVEL})
        config = {"message.timestamp.type": "LogAppendTime"}
        (made,) = admin.create_topics([NewTopic(topic, 1, config=config)]).values()
        made.result()
        job = {
            "bootstrap_servers": self._bootstrap_servers,
            "schemas": {stage.topic(event): schema for event, schema in schemas.items()},
            "counts": {stage.topic(event): self._per_member for event in schemas},
            "output": topic,
            "batch": batch,
            "is_filtered": is_filtered,
        }
        with started("benchmarks.rivals.routing_loop:route", job) as loop:
            loop.hear()
            before = read_cpu(loop.pid)
            loop.tell("go")
            loop.hear()
            cpu = read_cpu(loop.pid) - before
            loop.tell("end")
            loop.result()
        return cpu


def _route(stage: Stage, channel: str, members: Members) -> float:
    """Let a router fill a channel and return the seconds of processor time that it took."""
    with RouterProcess(stage.environment) as router:
        router.await_quiet()
        before = router.vitals().cpu
        stage.set_channels({channel: members})
        router.await_live([channel], _ROUTE_TIME_LIMIT)
        return router.vitals().cpu - before


def _check_output(stage: Stage, output: str, expected: Digest) -> float:
    """Check that each event is there once; return the seconds from the first to the last."""
    ids = []
    times = []
    for message in read_log(stage.bootstrap_servers, stage.topic(output)):
        ids.append(dict(message.headers())["ce_id"].decode())
        times.append(message.timestamp()[1])
    if digest(ids) != expected:
        raise MeasurementError(f"{expected} should be in {output}, found {digest(ids)}")
    # Append times are in milliseconds and need not rise.
    span_ms: int = max(times) - min(times)
    return max(span_ms, 1) / 1000


def best_loop(turns: dict[str, Any]) -> dict[str, Any] | None:
    """Return the turns of the faster loop; None if one of them failed."""
    loops = [turns[name] for name in LOOPS]
    if any(loop["rate"]["median"] is None for loop in loops):
        return None
    best: dict[str, Any] = max(loops, key=lambda loop: loop["rate"]["median"])
    return best
