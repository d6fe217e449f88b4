"""The results about the service as rows of text. What failed is a row that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.rows import Rows
from benchmarks.service.figures import service_figures
from benchmarks.service.idle import SECURE, SHARED, UNREAD
from benchmarks.service.reading import CLIENTS, REPLAYS

if TYPE_CHECKING:
    from collections.abc import Iterator

_READING = {
    "bare": "confluent-kafka by hand, consume(500), nothing decoded",
    "client": "service, one client of gRPC",
    "least": "service, one of the least clients",
    "hot": f"service, {CLIENTS} of the least clients",
}
_PUBLISHING = {
    "bare": "confluent-kafka by hand, the same record",
    "lean": "confluent-kafka by hand, bodies only",
    "service": "service, PublishStream, 200 a request",
}
_REPLAYS = {
    "alone": f"{REPLAYS} consumers by hand, one process",
    "service": f"service, {REPLAYS} replays",
}


def service_rows(service: dict[str, Any]) -> Iterator[Rows]:
    """Yield every table about the service."""
    yield reading_rows(service["subscribing"])
    yield replay_rows(service["replays"])
    yield publishing_rows(service["publishing"])
    yield service_delay_rows(service["delay"], service["refusals"])
    yield service_upkeep_rows(service)


def _range(samples: dict[str, Any]) -> tuple[str, str]:
    median, values = samples["median"], samples["values"]
    return (
        "failed" if median is None else f"{median:,.0f}",
        f"{min(values):,.0f} to {max(values):,.0f}" if values else "",
    )


def _middle(found: dict[str, Any], part: str, name: str, form: str = ".1f") -> str:
    median = found[part].get(name, {}).get("median")
    return "" if median is None else format(median, form)


def _rate_rows(title: str, labels: dict[str, str], found: dict[str, Any]) -> Rows:
    body = [
        (
            label,
            *_range(found["rates"][name]),
            _middle(found, "cpu", name),
            _middle(found, "of_service", name),
        )
        for name, label in labels.items()
        if "rates" in found
    ]
    head = (
        "way", "events/s (median)", "lowest to highest", "CPU of the client (s per million)",
        "of the service",
    )  # fmt: skip
    return Rows(title, head, body or _failed(head))


def reading_rows(subscribing: dict[str, Any]) -> Rows:
    """Return events per second of all clients together, and processor time."""
    return _rate_rows("Subscribe", _READING, subscribing)


def publishing_rows(publishing: dict[str, Any]) -> Rows:
    """Return events per second of each way, and processor time."""
    return _rate_rows("Publish", _PUBLISHING, publishing)


def replay_rows(replays: dict[str, Any]) -> Rows:
    """Return events per second of all replays together, and the most memory of the process."""
    body = [
        (
            label,
            f"{replays['events']:,}",
            *_range(replays["rates"][name]),
            _middle(replays, "cpu", name),
            f"{max(replays['peaks'][name]):.0f} MB" if replays["peaks"][name] else "",
        )
        for name, label in _REPLAYS.items()
        if "rates" in replays
    ]
    head = (
        "way", "events", "events/s (median)", "lowest to highest", "CPU (s per million)",
        "most memory",
    )  # fmt: skip
    return Rows("Replays at different positions", head, body or _failed(head))


def service_delay_rows(delay: dict[str, Any], refusals: dict[str, Any]) -> Rows:
    """Return delays at 100 events/s."""
    found = {
        "confluent-kafka by hand": delay.get("bare"),
        "service": delay.get("service"),
        "service, in turn with the next": refusals.get("delays", {}).get("alone"),
        "service, while another client is refused": refusals.get("delays", {}).get("beside"),
    }
    body = [
        (label, "failed", "", "")
        if figures is None
        else (
            label,
            f"{figures['count']:,}",
            f"{figures['median']:.2f} ms",
            f"{figures['p99']:.2f} ms",
        )
        for label, figures in found.items()
    ]
    return Rows(
        "Publish to receive through the service, 100 events/s",
        ("way", "events", "median", "p99"),
        body,
    )


def service_upkeep_rows(service: dict[str, Any]) -> Rows:
    """Return what waiting streams take, how long draining does, and what refusals cost others."""
    figures = service_figures(service)
    lines = {
        f"an idle stream, {SHARED:,} on one connection": ("shared", ".1f", "kB"),
        f"an idle stream, {SECURE} with a TLS connection each": ("secure", ".1f", "kB"),
        f"{SHARED:,} idle streams, processor time": ("share", ".2f", "% of a core"),
        f"a client that never reads, of {UNREAD}": ("unread", ".2f", "MB"),
        f"{CLIENTS} clients on a hot stream, processor time": ("core", ".2f", "cores"),
        "from SIGTERM until the last of 100 streams ended": ("streams", ".2f", "s"),
        "until the process did": ("drain", ".2f", "s"),
        "delay beside a refused client, over that without": ("refusals_delay", ".2f", ""),
        "rate beside a refused client, over that without": ("refusals_rate", ".2f", ""),
    }
    body = []
    for label, (name, form, unit) in lines.items():
        value = figures[name]
        body.append((label, "failed" if value is None else f"{value:{form}} {unit}".rstrip()))
    refusals = service["refusals"]
    if "refused" in refusals:
        body += [
            ("refusals a second meanwhile", f"{min(refusals['refused']):,.0f}"),
            ("what they and the calls that wait take", f"{refusals['memory']:.0f} MB"),
        ]
    return Rows("One service process", ("what", "measured"), body)


def _failed(head: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [("failed", *("" for _ in head[1:]))]
