"""How subscriptions are doing, as tables for people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from platform_events.cli.terminal.output import in_words, print_facts, print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from platform_events.workers.status import SubscriptionStatus

_COLUMNS = [
    "NAME", "STREAM", "STATE", "WORKERS", "LAG", "AGE", "TIME TO LOSS", "LOST", "IN FLIGHT",
    "HOLES", "FAILING", "DEAD LETTERS",
]  # fmt: skip
_NUMBERS = (3, 4, 5, 6, 7, 8, 9, 10, 11)
_MEMBER_COLUMNS = ["WORKER", "HOST", "PARTITIONS"]
_ORDERS = {"key": "of each key", "none": "none"}
_NOTHING = "-"


def subscription_document(status: SubscriptionStatus) -> dict[str, Any]:
    """Return one subscription as JSON. What only its stream can tell is null if that is gone."""
    backlog = status.backlog
    return {
        "name": status.name,
        "kind": status.kind,
        "stream": status.stream,
        "order": status.order,
        "state": status.state,
        "protocol": status.protocol,
        "members": [
            {
                "client_id": member.client_id,
                "host": member.host,
                "partitions": list(member.partitions),
            }
            for member in status.members
        ],
        "position": None if backlog is None else str(backlog.position),
        "lag_events": None if backlog is None else backlog.lag_events,
        "lag_seconds": None if backlog is None else backlog.lag_seconds,
        "time_to_loss_seconds": None if backlog is None else backlog.time_to_loss_seconds,
        "events_lost": None if backlog is None else backlog.events_lost,
        "in_flight": status.in_flight,
        "holes": None if backlog is None else backlog.holes,
        "failing_keys": status.failing_keys,
        "dead_letters": status.dead_letters,
        "generation": status.generation,
    }


def print_subscriptions(documents: Sequence[dict[str, Any]]) -> None:
    """Print a table of subscriptions."""
    print_table(_COLUMNS, [_row(document) for document in documents], _NUMBERS)


def print_subscription(document: dict[str, Any]) -> None:
    """Print one subscription for people."""
    print_line(document["name"])
    print_line("")
    print_facts(dict(_facts(document)))
    if document["members"]:
        print_line("")
        print_table(_MEMBER_COLUMNS, [_member_row(one) for one in document["members"]])


def _row(document: dict[str, Any]) -> list[str]:
    return [
        document["name"],
        document["stream"],
        document["state"],
        str(len(document["members"])),
        _number(document["lag_events"]),
        _span(document["lag_seconds"]),
        _span(document["time_to_loss_seconds"]),
        *(
            _number(document[name])
            for name in ("events_lost", "in_flight", "holes", "failing_keys", "dead_letters")
        ),
    ]


def _facts(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "stream", document["stream"]
    yield "kind", document["kind"]
    yield "order", _ORDERS[document["order"]]
    yield "state", document["state"]
    protocol = document["protocol"]
    yield "workers", f"{len(document['members'])}" + (f", protocol {protocol}" if protocol else "")
    age = f"; the oldest is {_span(document['lag_seconds'])} old" if document["lag_events"] else ""
    yield "position", document["position"] or _NOTHING
    yield "lag", _number(document["lag_events"]) + age
    yield "time to loss", _span(document["time_to_loss_seconds"])
    yield "lost", _number(document["events_lost"])
    yield "in flight", _number(document["in_flight"])
    yield "holes", _number(document["holes"])
    yield "failing keys", _number(document["failing_keys"])
    yield "dead letters", _number(document["dead_letters"])
    yield "generation", _number(document["generation"])


def _member_row(member: dict[str, Any]) -> list[str]:
    partitions = ", ".join(map(str, member["partitions"]))
    return [member["client_id"], member["host"], partitions or _NOTHING]


def _number(value: int | None) -> str:
    return _NOTHING if value is None else f"{value:,}"


def _span(seconds: float | None) -> str:
    return _NOTHING if seconds is None else in_words(seconds)
