"""What streams hold and how channels are fed, as tables for people and as JSON."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from platform_events.bus.event import EPOCH
from platform_events.bus.starts import identify
from platform_events.channels.status import channel_statuses
from platform_events.cli.terminal.output import iso_time, print_line, print_table
from platform_events.definitions.durations import format_duration
from platform_events.kafka.holding import Holding, read_holding
from platform_events.names import is_channel_name, stream_path
from platform_events.replay import LowWaterMark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.bus.bus import EventBus
    from platform_events.catalog.state import Entry
    from platform_events.channels.status import ChannelStatus
    from platform_events.kafka.admin import Topic

_READY = "ready"
_PENDING = "pending"
_MISSING = "topic missing"
_UNREADABLE = "unreadable"
_COLUMNS = [
    "NAME", "KIND", "PARTITIONS", "RETENTION", "EVENTS", "LAST MINUTE", "NEWEST", "EARLIEST",
    "LATEST", "STATE",
]  # fmt: skip
_NUMBERS = (2, 3, 4, 5)
_RATE_MS = 60_000
_AT_ONCE = 8
"""Topics that are looked into at the same time; each takes a client for a moment."""
_MEMBER_COLUMNS = [
    "CHANNEL", "MEMBER", "DEFINITION", "LAG", "AGE", "PASSED", "FILTERED", "DEAD-LETTERED",
    "EXPIRED", "FILTER",
]  # fmt: skip
_MEMBER_NUMBERS = (2, 3, 4, 5, 6, 7, 8)
_ROUTER_COLUMNS = ["CHANNEL", "PARTITION", "STATE", "ROUTER", "HOST", "DETAIL"]
_ROUTER_NUMBERS = (1,)
_NOTHING = "-"
_SECOND = 1000
Watermarks: TypeAlias = "list[tuple[int, int]]"
"""First offset and end of each partition."""
Seen: TypeAlias = "dict[str, tuple[tuple[str, Watermarks], Holding]]"
"""By topic: its UUID and watermarks, and what was between them."""


def describe_streams(
    bus: EventBus, seen: Seen | None = None, only: str | None = None
) -> list[dict[str, Any]]:
    """Return each stream as JSON: what it holds, and of a channel how it is fed.

    Args:
        bus: of which tenant.
        only: the name of one stream; None: all.
        seen: what former calls found; topics that have not changed since are not read again.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    known = bus.catalog.entries()
    topic_of = {entry.name: bus.settings.namespace.topic(entry.name) for entry in known}
    # All of them, since a channel's members are told of too.
    described = bus.admin.describe(
        topic_of.values(), expected=[topic_of[entry.name] for entry in known if entry.active]
    )
    entries = [entry for entry in known if only in (None, entry.name)]
    shown = {topic_of[entry.name] for entry in entries}
    partitions = {name: topic.partitions for name, topic in described.items() if topic is not None}
    topics = {name: topic for name, topic in described.items() if topic and name in shown}
    # Before the offsets are asked for, so that it is no later than what comes after them.
    now_ms = int(time.time() * 1000)
    marks = bus.admin.watermarks({name: topic.partitions for name, topic in topics.items()})
    rates = bus.admin.counts_since(marks, now_ms - _RATE_MS)
    holdings = read_holdings(bus, topics, marks, {} if seen is None else seen)
    statuses = channel_statuses(bus.settings, bus.admin, entries, partitions)
    return [
        _describe_stream(entry)
        | (
            _describe_topic(bus, entry, topics[topic], marks[topic], now_ms)
            if topic in marks
            else {}
        )
        | (_describe_holding(holdings[topic], rates[topic]) if topic in marks else {})
        | _describe_channel(statuses.get(entry.name))
        for entry, topic in ((entry, topic_of[entry.name]) for entry in entries)
    ]


def print_streams(documents: Sequence[dict[str, Any]]) -> None:
    """Print a table of streams and, if there are channels, one of members and one of routers."""
    print_table(_COLUMNS, [_row(document) for document in documents], _NUMBERS)
    channels = [document for document in documents if "members" in document]
    if channels:
        print_line("")
        print_channels(channels)


def print_channels(channels: Sequence[dict[str, Any]]) -> None:
    """Print a table of the members of channels and one of their routers."""
    members = [_member_row(one["name"], member) for one in channels for member in one["members"]]
    print_table(_MEMBER_COLUMNS, members, _MEMBER_NUMBERS)
    print_line("")
    routers = [_router_row(one["name"], part) for one in channels for part in one["routing"]]
    print_table(_ROUTER_COLUMNS, routers, _ROUTER_NUMBERS)


def read_holdings(
    bus: EventBus, topics: Mapping[str, Topic], marks: Mapping[str, Watermarks], seen: Seen
) -> dict[str, Holding]:
    """Look into topics, several at a time; `marks` are their watermarks."""
    now = {name: (topic.topic_id, marks[name]) for name, topic in topics.items()}
    changed = [name for name in now if name not in seen or seen[name][0] != now[name]]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda name: read_holding(bus.settings, name, marks[name]), changed)
        seen |= {name: (now[name], one) for name, one in zip(changed, found, strict=True)}
    return {name: seen[name][1] for name in now}


def _describe_stream(entry: Entry) -> dict[str, Any]:
    definition = entry.active or entry.wanted
    return {
        "name": entry.name,
        "stream": stream_path(entry.name),
        "kind": "channel" if is_channel_name(entry.name) else "event",
        "state": _UNREADABLE if entry.unreadable else _PENDING if entry.pending else _MISSING,
        "partitions": definition and definition.partitions,
        "retention": definition and format_duration(definition.retention_ms),
        "events": None,
        "events_exact": False,
        "events_last_minute": None,
        "oldest_at": None,
        "newest_at": None,
        "earliest_replay_id": None,
        "latest_replay_id": None,
    }


def _describe_topic(
    bus: EventBus, entry: Entry, topic: Topic, marks: Watermarks, now_ms: int
) -> dict[str, Any]:
    identity = identify(entry, topic, bus.admin.cluster_id()).identity
    latest_ms = now_ms - LowWaterMark.MARGIN_MS
    state = {} if entry.unreadable or entry.pending else {"state": _READY}
    return state | {
        "partitions": topic.partitions,
        "earliest_replay_id": str(identity.position_id([first for first, _ in marks])),
        "latest_replay_id": str(identity.position_id([end for _, end in marks], latest_ms)),
    }


def _describe_holding(holding: Holding, rate: int) -> dict[str, Any]:
    return {
        "events": holding.records,
        "events_exact": holding.exact,
        "events_last_minute": min(rate, holding.records),
        "oldest_at": None if holding.oldest_ms is None else _time(holding.oldest_ms),
        "newest_at": None if holding.newest_ms is None else _time(holding.newest_ms),
    }


def _describe_channel(status: ChannelStatus | None) -> dict[str, Any]:
    if status is None:
        return {}
    return {
        "definition": status.definition,
        "members": [
            {
                "event": member.event,
                "filter": member.filter or None,
                "definition": member.definition,
                "lag_events": member.lag,
                "lag_seconds": None if member.lag_ms is None else member.lag_ms / _SECOND,
                "passed": member.passed,
                "filtered": member.filtered,
                "dead_lettered": member.dead_lettered,
                "expired": member.expired,
            }
            for member in status.members
        ],
        "routing": [
            {
                "partition": part.partition,
                "state": part.state,
                "router": part.leader,
                "host": part.host,
                "detail": part.detail,
                "since": None if part.since_ms is None else _time(part.since_ms),
            }
            for part in status.partitions
        ],
    }


def _time(time_ms: int) -> str:
    return iso_time(EPOCH + timedelta(milliseconds=time_ms))


def _row(document: dict[str, Any]) -> list[str]:
    bound = "" if document["events_exact"] else "<= "
    return [
        document["name"],
        document["kind"],
        str(document["partitions"] or _NOTHING),
        document["retention"] or _NOTHING,
        _NOTHING if document["events"] is None else f"{bound}{document['events']:,}",
        _number(document["events_last_minute"]),
        document["newest_at"] or _NOTHING,
        document["earliest_replay_id"] or _NOTHING,
        document["latest_replay_id"] or _NOTHING,
        document["state"],
    ]


def _member_row(channel: str, member: dict[str, Any]) -> list[str]:
    age = member["lag_seconds"]
    counts = [member[name] for name in ("passed", "filtered", "dead_lettered", "expired")]
    return [
        channel,
        member["event"],
        _number(member["definition"]),
        _number(member["lag_events"]),
        _NOTHING if age is None else f"{age:.1f} s",
        *(_number(count) for count in counts),
        member["filter"] or _NOTHING,
    ]


def _router_row(channel: str, part: dict[str, Any]) -> list[str]:
    return [
        channel,
        str(part["partition"]),
        part["state"],
        part["router"] or _NOTHING,
        part["host"] or _NOTHING,
        part["detail"],
    ]


def _number(value: int | None) -> str:
    return _NOTHING if value is None else f"{value:,}"
