"""`platform-events streams`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from platform_events.cli.arguments import json_option
from platform_events.cli.base import Command
from platform_events.cli.terminal.output import note, print_json, print_table
from platform_events.cli.views.channels import describe_channels, print_channels

if TYPE_CHECKING:
    from platform_events.bus.bus import EventBus
    from platform_events.catalog.state import Entry
    from platform_events.cli.connection import Connection
    from platform_events.kafka.admin import Topic

_READY = "ready"
_PENDING = "pending"
_MISSING = "topic missing"
_UNREADABLE = "unreadable"
_COLUMNS = [
    "NAME", "KIND", "PARTITIONS", "RETENTION", "EVENTS", "EARLIEST", "LATEST", "STATE",
]  # fmt: skip
_NUMBERS = (2, 3, 4)
_NOTHING = "-"


@click.command(
    cls=Command,
    examples=(
        "platform-events streams",
        "platform-events streams --json | jq -r '.[].name'",
    ),
)
@json_option
@click.pass_obj
def streams(connection: Connection, as_json: bool) -> None:
    """List the streams and what they hold, and how channels are fed.

    EVENTS is an upper bound. Subscribing from EARLIEST delivers the oldest event still there,
    from LATEST only what comes next. STATE is ready, pending (an apply has begun and not
    finished), topic missing (apply makes it again) or unreadable (its catalog record is; apply
    writes it again).

    Of each member of a channel: LAG is how many events are not routed yet (an upper bound), AGE
    the age of the oldest of them. PASSED went into the channel, FILTERED did not pass the filter,
    DEAD-LETTERED could not be decoded or written and is in the channel's dead-letter topic,
    EXPIRED was removed by retention before it was routed. DEFINITION is the number of the one in
    force. Of each channel's partition: which router feeds it, and how it goes.
    """
    with connection.bus() as bus:
        documents = _describe(bus)
        tenant = bus.settings.tenant
    if as_json:
        print_json(documents)
    elif documents:
        print_table(_COLUMNS, [_row(document) for document in documents], _NUMBERS)
        print_channels(documents)
    else:
        note(f"tenant {tenant!r} has no streams; platform-events apply makes some")


def _describe(bus: EventBus) -> list[dict[str, Any]]:
    entries = bus.catalog.entries()
    topic_of = {entry.name: bus.settings.namespace.topic(entry.name) for entry in entries}
    described = bus.admin.describe(topic_of.values())
    topics = {name: topic for name, topic in described.items() if topic is not None}
    # Before the offsets are asked for, so that it is no later than what comes after them.
    now_ms = int(time.time() * 1000)
    partitions = {topic.name: topic.partitions for topic in topics.values()}
    marks = bus.admin.watermarks(partitions)
    channels = describe_channels(bus, entries, partitions)
    return [
        _document(
            bus, entry, topics.get(topic_of[entry.name]), marks.get(topic_of[entry.name]), now_ms
        )
        | channels.get(entry.name, {})
        for entry in entries
    ]


def _document(
    bus: EventBus,
    entry: Entry,
    topic: Topic | None,
    marks: list[tuple[int, int]] | None,
    now_ms: int,
) -> dict[str, Any]:
    from platform_events.bus.starts import identify
    from platform_events.definitions.durations import format_duration
    from platform_events.names import is_channel_name, stream_path
    from platform_events.replay import LowWaterMark

    definition = entry.active or entry.wanted
    state = _PENDING if entry.pending else _READY if topic is not None else _MISSING
    document: dict[str, Any] = {
        "name": entry.name,
        "stream": stream_path(entry.name),
        "kind": "channel" if is_channel_name(entry.name) else "event",
        "state": _UNREADABLE if definition is None else state,
        "partitions": definition and definition.partitions,
        "retention": definition and format_duration(definition.retention_ms),
        "events": None,
        "earliest_replay_id": None,
        "latest_replay_id": None,
    }
    if topic is not None and marks is not None:
        identity = identify(entry, topic, bus.admin.cluster_id()).identity
        latest_ms = now_ms - LowWaterMark.MARGIN_MS
        document |= {
            "partitions": topic.partitions,
            "events": sum(end - first for first, end in marks),
            "earliest_replay_id": str(identity.position_id([first for first, _ in marks])),
            "latest_replay_id": str(identity.position_id([end for _, end in marks], latest_ms)),
        }
    return document


def _row(document: dict[str, Any]) -> list[str]:
    events = document["events"]
    return [
        document["name"],
        document["kind"],
        str(document["partitions"] or _NOTHING),
        document["retention"] or _NOTHING,
        _NOTHING if events is None else f"{events:,}",
        document["earliest_replay_id"] or _NOTHING,
        document["latest_replay_id"] or _NOTHING,
        document["state"],
    ]
