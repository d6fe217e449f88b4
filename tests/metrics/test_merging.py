"""The numbers of several processes, as one scrape shows them."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    Summary,
    generate_latest,
)
from prometheus_client.parser import text_string_to_metric_families

from platform_events.metrics import merge_metrics


def text_of(**metrics: Any) -> str:
    """Return what a process with these metrics shows; a function makes and sets each."""
    registry = CollectorRegistry()
    for name, make in metrics.items():
        make(name, registry)
    return generate_latest(registry).decode()


def gauge(value: float, **labels: str) -> Any:
    def make(name: str, registry: CollectorRegistry) -> None:
        made = Gauge(name, "A gauge.", list(labels), registry=registry)
        (made.labels(**labels) if labels else made).set(value)

    return make


def counter(value: float, **labels: str) -> Any:
    def make(name: str, registry: CollectorRegistry) -> None:
        made = Counter(name, "A counter.", list(labels), registry=registry)
        (made.labels(**labels) if labels else made).inc(value)

    return make


def samples(text: bytes) -> dict[tuple[str, tuple[Any, ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counters_add_up_by_their_labels() -> None:
    merged = merge_metrics()
    merged.take(1, text_of(handled=counter(3, outcome="ok")))
    merged.take(2, text_of(handled=counter(4, outcome="ok"), failed=counter(1)))
    found = samples(merged.text())
    assert found["handled_total", (("outcome", "ok"),)] == 7
    assert found["failed_total", ()] == 1
    assert b"# TYPE handled_total counter" in merged.text()
    assert b"# HELP handled_total A counter." in merged.text()


def test_what_is_taken_later_replaces_what_was_before() -> None:
    merged = merge_metrics()
    for number in (3, 5):
        merged.take(1, text_of(handled=counter(number), held=gauge(number)))
    assert samples(merged.text())["handled_total", ()] == 5
    assert samples(merged.text())["held", ()] == 5


def test_histograms_and_summaries_add_up() -> None:
    def observed(kind: Any) -> Any:
        def make(name: str, registry: CollectorRegistry) -> None:
            made = kind(name, "Seconds.", registry=registry)
            made.observe(0.3)

        return make

    merged = merge_metrics()
    for process in (1, 2):
        merged.take(process, text_of(took=observed(Histogram), size=observed(Summary)))
    found = samples(merged.text())
    assert found["took_count", ()] == found["size_count", ()] == 2
    assert found["took_bucket", (("le", "0.5"),)] == 2
    assert found["took_sum", ()] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("name", "together"),
    [
        ("platform_events_in_flight", 7),
        ("platform_events_subscription_lag_events", 7),
        ("platform_events_subscription_holes", 7),
        ("process_resident_memory_bytes", 7),
        ("platform_events_subscription_lag_seconds", 4),
        ("platform_events_loop_age_seconds", 4),
        ("platform_events_build_info", 4),
        ("platform_events_subscription_time_to_loss_seconds", 3),
        ("platform_events_kafka_up", 3),
        ("process_start_time_seconds", 3),
    ],
)
def test_gauges_add_up_or_the_worst_counts(name: str, together: float) -> None:
    merged = merge_metrics()
    merged.take(1, text_of(**{name: gauge(3, subscription="billing")}))
    merged.take(2, text_of(**{name: gauge(4, subscription="billing")}))
    assert samples(merged.text())[name, (("subscription", "billing"),)] == together


def test_what_a_process_has_counted_stays_when_it_ends() -> None:
    merged = merge_metrics()
    merged.take(1, text_of(handled=counter(3), held=gauge(2)))
    merged.take(2, text_of(handled=counter(4), held=gauge(2)))
    merged.retire(1)
    assert samples(merged.text())["handled_total", ()] == 7
    assert samples(merged.text())["held", ()] == 2
    merged.take(1, text_of(handled=counter(1), held=gauge(5)))
    merged.retire(1)
    merged.retire(1)
    assert samples(merged.text())["handled_total", ()] == 8
    assert samples(merged.text())["held", ()] == 2


def test_labels_of_any_text_survive() -> None:
    def described(name: str, registry: CollectorRegistry) -> None:
        Info(name, 'Says "what" \\ it is.', registry=registry).info({"text": 'a"b\\c\nd'})

    merged = merge_metrics()
    for process in (1, 2):
        merged.take(process, text_of(described=described))
    assert samples(merged.text())["described_info", (("text", 'a"b\\c\nd'),)] == 1


def test_nothing_is_nothing() -> None:
    merged = merge_metrics()
    merged.take(1, "")
    merged.retire(1)
    merged.retire(2)
    assert merged.text() == b""
