"""The bars that the race sets: never lowered, and reported whether met or not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.channels.routing import LABELS, ROUTER, best_loop
from benchmarks.events import FLIGHT, KILOBYTE, NESTED, SMALL, SPREAD, WIDE
from benchmarks.heats import HEAT_PARTS
from benchmarks.rivals.table import VERBS
from benchmarks.service.figures import service_figures
from benchmarks.workers.figures import worker_figures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.rivals.table import Direction

AT_LEAST: dict[str, dict[Direction, dict[str, float]]] = {
    FLIGHT.event: {
        "publish": {"bare": 1.2, "registry": 1.2},
        "consume": {"bare": 1.15, "registry": 2.5, "faststream": 20.0},
        "batches": {"bare": 1.1, "faststream-batches": 1.3, "aiokafka": 1.15},
    },
    KILOBYTE.event: {
        "publish": {"bare": 1.0, "registry": 1.2},
        "consume": {"bare": 0.97, "registry": 2.5, "faststream": 20.0},
        "batches": {"bare": 0.93},
    },
    SMALL.event: {"consume": {"bare": 0.85}, "batches": {"bare": 0.85}},
    WIDE.event: {"publish": {"bare": 1.0}, "consume": {"bare": 1.0}},
    NESTED.event: {"publish": {"bare": 1.0}, "consume": {"bare": 1.0}},
    SPREAD.event: {"consume": {"bare": 0.83}, "batches": {"bare": 0.75}},
}
"""Events/s of the SDK over events/s of that rival, by event and direction."""
CALL_AT_MOST = 1.2
"""Median of one SDK `publish` over the median of one bare produce-and-flush."""
DELAY_AT_MOST = 8.0
"""Median milliseconds from publishing to receiving at 100 events/s."""
PAYLOAD_AT_LEAST = 0.95
"""Each Avro type over fastavro, which checks nothing."""
LIVE_AT_LEAST = 0.95
"""One live subscriber over a reader of its own: of their rates, and of their delays inverted."""
THREADS_AT_MOST = 19
"""Threads of one process besides the main one, with many idle tenants or live subscriptions."""

ROUTING_AT_LEAST = {LABELS["all"]: 1.0, LABELS["passing"]: 0.8}
"""Events/s of the router over events/s of the better hand-written loop."""
HOP_AT_MOST = {"median": 10.0, "p99": 60.0}
"""Milliseconds that a channel adds to an event's delay at 100 events/s."""
IDLE_CHANNEL_AT_MOST = 0.2
"""Percent of a core that an idle channel takes in its router."""
TAKEOVER_AT_MOST = 10.0
"""Seconds that a channel stalls at most when its router is killed and another one runs."""

HANDLING_AT_LEAST = {"bare": 0.5, "faststream": 10.0, "serial": 20.0}
"""Events/s of a worker with 100 keys: with a handler that does nothing over a loop by hand, and
over the faster of FastStream's settings; with one of 5 ms over the loop by hand, which calls it one
by one."""
WORKER_DELAY_AT_MOST = 5.0
"""Median milliseconds that a worker adds to a subscriber's delay at 100 events/s."""
WORKER_GROWTH_AT_MOST = 10.0
"""MB of resident size after 1,000,000 events over that after 100,000."""
IDLE_WORKER_AT_MOST = 2.0
"""Percent of a core that a worker takes without an event."""
WORKER_TAKEOVER_AT_MOST = 10.0
"""Seconds that a partition stands still at most when its worker is killed and another one runs."""

SUBSCRIBE_AT_LEAST = 0.45
"""Events/s of one client with a credit of 100 over events/s of a bare consume loop."""
HOT_AT_LEAST = 4.0
"""Events/s of fifty clients on one stream over events/s of one; or else `FULL_AT_LEAST`."""
FULL_AT_LEAST = 0.9
"""Share of a core that the service takes with fifty clients."""
PUBLISH_STREAM_AT_LEAST = 0.25
"""Events/s of PublishStream in batches of 200 over bare produce of the same record."""
SERVICE_DELAY_AT_MOST = {"median": 5.0, "p99": 20.0}
"""Milliseconds from publishing to receiving through the service at 100 events/s."""
IDLE_STREAM_AT_MOST = {"shared": 40.0, "secure": 100.0}
"""kB of an idle Subscribe call on a shared connection, and with a TLS connection of its own."""
IDLE_STREAMS_AT_MOST = 5.0
"""Percent of a core that a thousand of them take."""
UNREAD_AT_MOST = 2.0
"""MB of a client that never reads."""
REPLAYS_AT_LEAST = 3.0
"""Events/s of thirty replays over events/s of thirty readers of their own."""
REPLAYS_MEMORY_AT_MOST = 200.0
"""MB of the service meanwhile."""
DRAIN_AT_MOST = 1.0
"""Seconds from SIGTERM with a hundred open streams until the service has ended."""
REFUSALS_DELAY_AT_MOST = 1.1
"""Median delay beside a client that is refused 1,800 times a second over that without."""
REFUSALS_RATE_AT_LEAST = 0.9
"""Events/s of one client beside it over events/s without."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One bar and how the SDK did."""

    what: str
    """What is compared."""
    sense: Literal[">=", "<="]
    """Which side of the bar is good."""
    bar: float
    """The bar: a ratio of medians, or a figure in `unit`."""
    value: float | None
    """What was measured; None: a measurement failed."""
    unit: str = ""
    """Empty for a ratio."""

    @property
    def met(self) -> bool:
        """Whether the bar was met, exactly and unrounded."""
        if self.value is None:
            return False
        return self.value >= self.bar if self.sense == ">=" else self.value <= self.bar

    def to_json(self) -> dict[str, Any]:
        """Return the goal with its outcome."""
        return asdict(self) | {"met": self.met}


def ratio(rows: dict[str, dict[str, Any]], rival: str) -> float | None:
    """Return the SDK's median over the rival's, or None when either failed."""
    ours = rows.get("sdk", {}).get("median")
    theirs = rows.get(rival, {}).get("median")
    return ours / theirs if ours and theirs else None


def judge(results: dict[str, Any]) -> list[Goal]:
    """Compare what was measured with the bars. Parts that did not run have no goals."""
    goals: list[Goal] = []
    for part in HEAT_PARTS:
        for case in results.get(part, {}).values():
            goals += _judge_case(case)
    goals += _judge_payloads(results.get("payloads", ()))
    if calls := results.get("single_call"):
        value = calls["sdk"]["median"] / calls["bare"]["median"]
        goals.append(Goal("one publish call: SDK over bare", "<=", CALL_AT_MOST, value))
    if delays := results.get("delay"):
        value = delays["sdk"]["median"]
        goals.append(Goal("publish to receive, median", "<=", DELAY_AT_MOST, value, "ms"))
    if live := results.get("live"):
        goals += _judge_live(live)
    for found in results.get("sharing", {}).values():
        value = found["python"] if found["all"] is None else found["all"]
        goals.append(Goal(f"threads with {found['label']}", "<=", THREADS_AT_MOST, value))
    goals += _judge_channels(results.get("channels", {}))
    if workers := results.get("workers"):
        goals += _judge_workers(workers)
    if service := results.get("service"):
        goals += _judge_service(service)
    return goals


def _judge_case(case: dict[str, Any]) -> Iterator[Goal]:
    for direction, rows in case["rates"].items():
        for rival, bar in AT_LEAST[case["event"]].get(direction, {}).items():
            if rival in rows:
                verb = VERBS[direction].lower()
                what = f"{verb}, {case['label']}: SDK over {rival}"
                yield Goal(what, ">=", bar, ratio(rows, rival))


def _judge_payloads(rows: Sequence[dict[str, Any]]) -> Iterator[Goal]:
    """Judge the slowest type in each direction: no type is to be slower than that."""
    for way in ("encode", "decode") if rows else ():
        slowest = min(rows, key=lambda row: float(row[f"{way}_ratio"]))
        what = f"{way}, slowest type ({slowest['label']}): over fastavro alone"
        yield Goal(what, ">=", PAYLOAD_AT_LEAST, slowest[f"{way}_ratio"])


def _judge_live(live: dict[str, Any]) -> Iterator[Goal]:
    delays, bursts = live["delay"], live["bursts"]
    value = delays["bare"]["median"] / delays["sdk"]["median"]
    yield Goal("one live subscriber, delay: bare over SDK", ">=", LIVE_AT_LEAST, value)
    ours, own = bursts["live"]["rate"]["median"], bursts["own"]["rate"]["median"]
    value = ours / own if ours and own else None
    yield Goal(
        "one live subscriber, rate: live over a reader of its own", ">=", LIVE_AT_LEAST, value
    )


def routing_ratio(case: dict[str, Any]) -> float | None:
    """Return the router's median rate over the better loop's, or None when one failed."""
    ours = case["turns"][ROUTER]["rate"]["median"]
    loop = best_loop(case["turns"])
    return ours / loop["rate"]["median"] if ours and loop else None


def _judge_channels(channels: dict[str, Any]) -> Iterator[Goal]:
    for case in channels.get("routing", {}).get("cases", ()):
        label = case["label"]
        yield Goal(
            f"routing, {label}: router over a loop by hand",
            ">=",
            ROUTING_AT_LEAST[label],
            routing_ratio(case),
        )
    if hop := channels.get("hop"):
        for figure, bar in HOP_AT_MOST.items():
            value = hop["added"][figure] if "added" in hop else None
            yield Goal(f"delay that a channel adds, {figure}", "<=", bar, value, "ms")
    if many := channels.get("many_channels"):
        value = many.get("idle_channel")
        yield Goal("an idle channel", "<=", IDLE_CHANNEL_AT_MOST, value, "% of a core")
    if takeover := channels.get("takeover"):
        gap = takeover.get("gap", {"median": None})
        value = None if gap["median"] is None else max(gap["values"])
        yield Goal("taking over from a killed router, longest", "<=", TAKEOVER_AT_MOST, value, "s")


def _judge_workers(workers: dict[str, Any]) -> Iterator[Goal]:
    figures = worker_figures(workers)
    for what, rival in (
        ("no-op, 100 keys: Worker over bare", "bare"),
        ("no-op, 100 keys: Worker over faststream", "faststream"),
        ("handler of 5 ms, 100 keys: Worker over one by one", "serial"),
    ):
        yield Goal(what, ">=", HANDLING_AT_LEAST[rival], figures[rival])
    yield Goal(
        "delay that a worker adds, median", "<=", WORKER_DELAY_AT_MOST, figures["delay"], "ms"
    )
    yield Goal(
        "a worker's memory after 1,000,000 events over that after 100,000",
        "<=", WORKER_GROWTH_AT_MOST, figures["growth"], "MB",
    )  # fmt: skip
    yield Goal("an idle worker", "<=", IDLE_WORKER_AT_MOST, figures["idle"], "% of a core")
    yield Goal(
        "taking over from a killed worker, longest",
        "<=", WORKER_TAKEOVER_AT_MOST, figures["takeover"], "s",
    )  # fmt: skip


def _judge_service(service: dict[str, Any]) -> Iterator[Goal]:
    found = service_figures(service)
    core = found["core"]
    yield Goal(
        "Subscribe, one client: service over bare", ">=", SUBSCRIBE_AT_LEAST, found["subscribe"]
    )
    if core is not None and core >= FULL_AT_LEAST:
        yield Goal("50 clients on a hot stream: the core that they fill", ">=", FULL_AT_LEAST, core)
    else:
        yield Goal("50 clients on a hot stream: over one", ">=", HOT_AT_LEAST, found["hot"])
    yield Goal("PublishStream: service over bare", ">=", PUBLISH_STREAM_AT_LEAST, found["publish"])
    for figure, bar in SERVICE_DELAY_AT_MOST.items():
        what = f"publish to receive through the service, {figure}"
        yield Goal(what, "<=", bar, found[figure], "ms")
    for kind, label in (("shared", "a shared connection"), ("secure", "a TLS connection each")):
        what = f"an idle Subscribe stream, {label}"
        yield Goal(what, "<=", IDLE_STREAM_AT_MOST[kind], found[kind], "kB")
    yield Goal("1,000 idle streams", "<=", IDLE_STREAMS_AT_MOST, found["share"], "% of a core")
    yield Goal("a client that never reads", "<=", UNREAD_AT_MOST, found["unread"], "MB")
    yield Goal(
        "30 replays: service over readers of their own",
        ">=", REPLAYS_AT_LEAST, found["replays"],
    )  # fmt: skip
    yield Goal(
        "30 replays, memory of the service", "<=", REPLAYS_MEMORY_AT_MOST, found["peak"], "MB"
    )
    yield Goal("drain with 100 streams", "<=", DRAIN_AT_MOST, found["drain"], "s")
    yield Goal(
        "delay beside a client that is refused: over that without",
        "<=", REFUSALS_DELAY_AT_MOST, found["refusals_delay"],
    )  # fmt: skip
    yield Goal(
        "rate beside a client that is refused: over that without",
        ">=", REFUSALS_RATE_AT_LEAST, found["refusals_rate"],
    )  # fmt: skip
