"""The numbers of several processes as if they were one. Needs the extra `metrics`."""

from __future__ import annotations

import operator
import threading
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Place: TypeAlias = "tuple[str, tuple[tuple[str, str], ...]]"
_LEAST = ("_up", "_time_to_loss_seconds", "_start_time_seconds", "_created")
_MOST = ("_seconds", "_info")
"""Ends of the names of gauges of which the least, or the most, is that of all; others add up."""
_COUNTED = ("counter", "histogram", "summary")
"""Types of what goes on counting when a process is replaced."""


class MergedMetrics(Collector):
    """What processes count, together. Thread-safe.

    What a process has counted stays when it ends, so that no counter goes back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[int, str] = {}
        self._former = _Families()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def take(self, process: int, text: str) -> None:
        """Take what a process counts now, in the Prometheus text format, instead of before."""
        with self._lock:
            self._texts[process] = text

    def retire(self, process: int) -> None:
        """Take what a process has counted last; it has ended."""
        with self._lock:
            self._former.add(self._texts.pop(process, ""), only_counted=True)

    def text(self) -> bytes:
        """Return all of it in the Prometheus text format 0.0.4."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every family of metrics."""
        families = _Families()
        with self._lock:
            families.add_all(self._former)
            texts = list(self._texts.values())
        for text in texts:
            families.add(text)
        yield from families.metrics()


class _Families:
    """Families of metrics by name, with one value for each name and labels of a sample."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[Metric, dict[_Place, float]]] = {}

    def add(self, text: str, *, only_counted: bool = False) -> None:
        for metric in text_string_to_metric_families(text):
            if not only_counted or metric.type in _COUNTED:
                for sample in metric.samples:
                    place = sample.name, tuple(sorted(sample.labels.items()))
                    self._add(metric, place, sample.value)

    def add_all(self, others: _Families) -> None:
        for metric, values in others._families.values():
            for place, value in values.items():
                self._add(metric, place, value)

    def metrics(self) -> Iterator[Metric]:
        for described, values in self._families.values():
            metric = Metric(described.name, described.documentation, described.type)
            for (name, labels), value in values.items():
                metric.add_sample(name, dict(labels), value)
            yield metric

    def _add(self, metric: Metric, place: _Place, value: float) -> None:
        _, values = self._families.setdefault(metric.name, (metric, {}))
        before = values.get(place)
        values[place] = value if before is None else _join(metric)(before, value)


def _join(metric: Metric) -> Callable[[float, float], float]:
    """Return how two values of a metric become one."""
    if metric.type == "gauge" and metric.name.endswith(_LEAST):
        return min
    if metric.type == "gauge" and metric.name.endswith(_MOST):
        return max
    return operator.add
