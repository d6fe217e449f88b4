"""How channels are fed, as text for people and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from platform_events.cli.terminal.output import print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from platform_events.bus.bus import EventBus
    from platform_events.catalog.state import Entry
    from platform_events.channels.status import ChannelStatus

_MEMBER_COLUMNS = [
    "CHANNEL", "MEMBER", "DEFINITION", "LAG", "AGE", "PASSED", "FILTERED", "DEAD-LETTERED",
    "EXPIRED", "FILTER",
]  # fmt: skip
_MEMBER_NUMBERS = (2, 3, 4, 5, 6, 7, 8)
_ROUTER_COLUMNS = ["CHANNEL", "PARTITION", "STATE", "ROUTER", "HOST", "DETAIL"]
_ROUTER_NUMBERS = (1,)
_NOTHING = "-"
_SECOND = 1000


def describe_channels(
    bus: EventBus, entries: Sequence[Entry], partitions: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """Return for each active channel what its document has beside that of other streams.

    Args:
        bus: the tenant's.
        entries: the catalog's.
        partitions: of each of the tenant's topics that exist.
    """
    from platform_events.channels.status import channel_statuses

    statuses = channel_statuses(bus.settings, bus.admin, entries, partitions)
    return {name: _document(status) for name, status in statuses.items()}


def print_channels(documents: Sequence[dict[str, Any]]) -> None:
    """Print a table of members and one of routers, if there are channels."""
    channels = [document for document in documents if "members" in document]
    if not channels:
        return
    print_line("")
    members = [_member_row(one["name"], member) for one in channels for member in one["members"]]
    print_table(_MEMBER_COLUMNS, members, _MEMBER_NUMBERS)
    print_line("")
    routers = [_router_row(one["name"], part) for one in channels for part in one["routing"]]
    print_table(_ROUTER_COLUMNS, routers, _ROUTER_NUMBERS)


def _document(status: ChannelStatus) -> dict[str, Any]:
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
                "since": None if part.since_ms is None else _iso(part.since_ms),
            }
            for part in status.partitions
        ],
    }


def _iso(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / _SECOND, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


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
