"""The numbers as Prometheus collects them. Needs the extra `metrics`."""

from __future__ import annotations

import threading
from importlib.metadata import version
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from platform_events.metrics.meters import BUCKETS, METERS, STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from platform_events.metrics.meters import Lag, Meters, WorkerReport

MEDIA_TYPE = "text/plain; version=0.0.4"
_PREFIX = "platform_events_"
_OF_SUBSCRIPTIONS = (
    ("in_flight", "in_flight", "Events in handlers of this process."),
    ("subscription_lag_events", "lag_events", "Events not handled, in this process's partitions."),
    ("subscription_lag_seconds", "lag_seconds", "Age of the oldest of them."),
    (
        "subscription_time_to_loss_seconds",
        "time_to_loss_seconds",
        "Time until retention may remove the oldest of them.",
    ),
    ("subscription_dead_letters", "dead_letters", "Dead letters of this process's partitions."),
    ("subscription_holes", "holes", "Events not handled that later, handled ones follow."),
)
"""Metrics, the parts of a `WorkerReport` that they are, and what these mean."""
_registering = threading.Lock()
_registered: list[Exposition] = []


def register() -> None:
    """Add this process's numbers to the registry that prometheus-client serves, once."""
    with _registering:
        if not _registered:
            exposition = Exposition(METERS)
            REGISTRY.register(exposition)
            _registered.append(exposition)


def metrics_text() -> bytes:
    """Return all metrics of the process in the Prometheus text format 0.0.4."""
    return generate_latest(REGISTRY)


class Exposition(Collector):
    """What Prometheus gets to see of the meters."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._version = version("platform-events")

    def collect(self) -> Iterator[Metric]:
        """Yield every family of metrics; one without samples as well."""
        yield from self._of_process()
        yield from self._of_bus()
        yield from self._of_router()
        yield from self._of_workers()

    def _of_process(self) -> Iterator[Metric]:
        build = _gauge("build_info", "Version of platform-events, as a label.", "version")
        build.add_metric([self._version], 1)
        yield build
        up = _gauge("kafka_up", "1 if a broker answers, by the last that is known; else 0.")
        answers = [one.is_up for one in self._meters.clusters.all()]
        known = [answer for answer in answers if answer is not None]
        if known:
            up.add_metric([], all(known))
        yield up
        age = _gauge("loop_age_seconds", "Seconds since the process's loop last came round.")
        ages = [loop.loop_age for loop in self._meters.loops.all()]
        if ages:
            age.add_metric([], max(ages))
        yield age

    def _of_bus(self) -> Iterator[Metric]:
        published = _counter("published", "Events by the outcome of publishing.", "event outcome")
        took = HistogramMetricFamily(
            f"{_PREFIX}publish_seconds",
            "Time from publishing an event to its outcome; of several that are settled together, "
            "that of the first.",
            labels=["event"],
        )
        bounds = [str(bound) for bound in BUCKETS] + ["+Inf"]
        for event, meter in list(self._meters.published.items()):
            outcomes, buckets, seconds = meter.read()
            for outcome, number in outcomes.items():
                published.add_metric([event, outcome], number)
            cumulated = list(zip(bounds, accumulate(buckets), strict=True))
            took.add_metric([event], cumulated, seconds)
        yield published
        yield took
        delivered = _counter("delivered", "Events handed to subscribers.", "stream")
        for stream, number in list(self._meters.delivered.items()):
            delivered.add_metric([stream], number)
        yield delivered

    def _of_router(self) -> Iterator[Metric]:
        routed = _counter(
            "routed", "Member records that this process judged, by result.", "channel member result"
        )
        for labels, number in list(self._meters.routed.items()):
            routed.add_metric(list(labels), number)
        yield routed
        state = _gauge(
            "router_state",
            "1 for the state that a channel partition of this process is in, 0 for the others.",
            "channel partition state",
        )
        lag = _gauge("router_lag_events", "Member records that are not judged.", "channel member")
        age = _gauge("router_lag_seconds", "Age of the oldest of them.", "channel member")
        lags: dict[tuple[str, str], Lag] = {}
        for feeds in self._meters.feeds.all():
            for report in feeds.reports():
                for one in STATES:
                    is_in = float(one == report.state)
                    state.add_metric([report.channel, str(report.partition), one], is_in)
                for member, lagging in report.lags.items():
                    before = lags.get((report.channel, member))
                    lags[report.channel, member] = before + lagging if before else lagging
        for pair, lagging in lags.items():
            lag.add_metric(list(pair), lagging.events)
            if lagging.seconds is not None:
                age.add_metric(list(pair), lagging.seconds)
        yield state
        yield lag
        yield age

    def _of_workers(self) -> Iterator[Metric]:
        handled = _counter("handled", "What came of events in handlers.", "subscription outcome")
        for labels, number in list(self._meters.handled.items()):
            handled.add_metric(list(labels), number)
        yield handled
        reports: dict[str, WorkerReport] = {}
        for worker in self._meters.workers.all():
            report = worker.report()
            before = reports.get(report.subscription)
            reports[report.subscription] = before + report if before else report
        for name, field, text in _OF_SUBSCRIPTIONS:
            gauge = _gauge(name, text, "subscription")
            for subscription, report in reports.items():
                value = getattr(report, field)
                if value is not None:
                    gauge.add_metric([subscription], value)
            yield gauge


def _gauge(name: str, text: str, labels: str = "") -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, labels=labels.split())


def _counter(name: str, text: str, labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(_PREFIX + name, text, labels=labels.split())
