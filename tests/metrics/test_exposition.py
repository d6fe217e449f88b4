"""What Prometheus gets to see of the numbers."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from platform_events.channels.states import State
from platform_events.metrics.exposition import Exposition, metrics_text, register
from platform_events.metrics.meters import (
    OUTCOMES,
    STATES,
    FeedReport,
    Lag,
    Meters,
    WorkerReport,
)


class Feeds:
    def __init__(self, *reports: FeedReport) -> None:
        self._reports = list(reports)

    def reports(self) -> list[FeedReport]:
        return self._reports


class Worker:
    def __init__(self, report: WorkerReport) -> None:
        self._report = report

    def report(self) -> WorkerReport:
        return self._report


class Cluster:
    def __init__(self, *, is_up: bool | None) -> None:
        self.is_up = is_up


class Loop:
    def __init__(self, age: float) -> None:
        self.loop_age = age


@pytest.fixture
def meters() -> Meters:
    return Meters()


@pytest.fixture
def registry(meters: Meters) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(Exposition(meters))
    return registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"platform_events_{name}", labels)


def test_publishing_is_counted_by_outcome_and_time(
    registry: CollectorRegistry, meters: Meters
) -> None:
    meter = meters.publishing("A__e")
    meter.add(100, ["UNKNOWN", "NOT_PERSISTED", "UNKNOWN"], 0.02)
    meters.publishing("A__e").add(1, [], 1e9)
    assert value(registry, "published_total", event="A__e", outcome="PERSISTED") == 101
    assert value(registry, "published_total", event="A__e", outcome="UNKNOWN") == 2
    assert value(registry, "published_total", event="A__e", outcome="NOT_PERSISTED") == 1
    assert value(registry, "publish_seconds_bucket", event="A__e", le="0.01") == 0
    assert value(registry, "publish_seconds_bucket", event="A__e", le="0.025") == 103
    assert value(registry, "publish_seconds_bucket", event="A__e", le="30.0") == 103
    assert value(registry, "publish_seconds_bucket", event="A__e", le="+Inf") == 104
    assert value(registry, "publish_seconds_count", event="A__e") == 104
    assert value(registry, "publish_seconds_sum", event="A__e") == pytest.approx(1e9, rel=1e-6)


def test_delivering_and_routing_are_counted(registry: CollectorRegistry, meters: Meters) -> None:
    meters.deliver("/event/A__e", 3)
    meters.deliver("/event/A__e", 0)
    meters.route("C__chn", "A__e", {"passed": 2, "filtered": 5, "dead_lettered": 0})
    meters.route("C__chn", "A__e", {"passed": 1, "filtered": 0, "dead_lettered": 0})
    assert value(registry, "delivered_total", stream="/event/A__e") == 3
    labels = {"channel": "C__chn", "member": "A__e"}
    assert value(registry, "routed_total", result="passed", **labels) == 3
    assert value(registry, "routed_total", result="filtered", **labels) == 5


def test_a_router_shows_states_and_the_lags_of_its_partitions_together(
    registry: CollectorRegistry, meters: Meters
) -> None:
    feeds = Feeds(
        FeedReport("C__chn", 0, "live", {"A__e": Lag(3, 0.5), "B__e": Lag(0, 0.0)}),
        FeedReport("C__chn", 1, "broken", {"A__e": Lag(4, 2.5)}),
    )
    meters.feeds.add(feeds)
    for partition, state in enumerate(("live", "broken")):
        for one in STATES:
            labels = {"channel": "C__chn", "partition": str(partition), "state": one}
            assert value(registry, "router_state", **labels) == (one == state)
    labels = {"channel": "C__chn", "member": "A__e"}
    assert value(registry, "router_lag_events", **labels) == 7
    assert value(registry, "router_lag_seconds", **labels) == 2.5
    del feeds
    gc.collect()
    assert value(registry, "router_lag_events", **labels) is None


def test_handling_is_counted_by_outcome(registry: CollectorRegistry, meters: Meters) -> None:
    meters.handle("billing", dict(zip(OUTCOMES, (5, 4, 3, 2, 1), strict=True)))
    meters.handle("billing", {"ok": 7, "failed": 0})
    meters.handle("mail", {"retried": 0})
    for outcome, number in zip(OUTCOMES, (12, 4, 3, 2, 1), strict=True):
        labels = {"subscription": "billing", "outcome": outcome}
        assert value(registry, "handled_total", **labels) == number
    assert value(registry, "handled_total", subscription="mail", outcome="retried") is None


def test_the_workers_of_a_subscription_are_shown_together(
    registry: CollectorRegistry, meters: Meters
) -> None:
    def shown(subscription: str) -> list[float | None]:
        names = ("lag_events", "lag_seconds", "time_to_loss_seconds", "dead_letters", "holes")
        gauges = ["in_flight", *(f"subscription_{name}" for name in names)]
        return [value(registry, name, subscription=subscription) for name in gauges]

    workers = [
        Worker(WorkerReport("billing", 1, 10, 2.5, 90.0, 3, 4)),
        Worker(WorkerReport("billing", 2, 20, 7.5, 30.0, 1, 0)),
        Worker(WorkerReport("mail", 0, 0, 0.0, None, 0, 0)),
    ]
    for worker in workers:
        meters.workers.add(worker)
    assert shown("billing") == [3, 30, 7.5, 30.0, 4, 4]
    assert shown("mail") == [0, 0, 0.0, None, 0, 0]
    unsure = Worker(WorkerReport("billing", 0, 5, None, None, 0, 0))
    meters.workers.add(unsure)
    assert shown("billing") == [3, 35, None, 30.0, 4, 4]
    del workers[:], worker
    gc.collect()
    assert shown("mail") == [None] * 6


def test_the_process_says_how_it_is(registry: CollectorRegistry, meters: Meters) -> None:
    assert value(registry, "kafka_up") is None
    clusters = [Cluster(is_up=True), Cluster(is_up=None)]
    loops = [Loop(0.1), Loop(3.0)]
    for cluster in clusters:
        meters.clusters.add(cluster)
    for loop in loops:
        meters.loops.add(loop)
    assert value(registry, "kafka_up") == 1
    assert value(registry, "loop_age_seconds") == 3.0
    clusters[1].is_up = False
    assert value(registry, "kafka_up") == 0


def test_the_text_is_what_prometheus_reads() -> None:
    register()
    register()
    names = [family.name for family in text_string_to_metric_families(metrics_text().decode())]
    ours = [name for name in names if name.startswith("platform_events_")]
    assert len(ours) == len(set(ours)) == 17


def test_states_are_those_of_routers() -> None:
    assert get_args(State) == STATES


def test_a_forked_child_counts_from_nothing() -> None:
    script = """
import os
from platform_events.metrics.meters import METERS
METERS.deliver("/event/Before__e", 5)
child = os.fork()
if child == 0:
    os._exit(len(METERS.delivered))
assert os.waitpid(child, 0)[1] == 0
assert METERS.delivered["/event/Before__e"] == 5
"""
    subprocess.run([sys.executable, "-c", script], check=True)
