"""Read one channel definition from its document."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from platform_events.definitions.durations import format_duration
from platform_events.definitions.model import ChannelDefinition, Member
from platform_events.definitions.storage import explain_excess
from platform_events.files.common_keys import check_keys, read_choice, read_common
from platform_events.files.document import Mark, Node, Report
from platform_events.files.notation import CHANNEL_KEYS, MEMBER_KEYS, MEMBER_STARTS
from platform_events.files.scalar_places import find_offsets
from platform_events.names import NAME_RULE, is_channel_name, is_event_name
from platform_events.wording import shown, suggest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from platform_events.definitions.model import EventDefinition
    from platform_events.filters import FilterError

_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
"""What the YAML parser counts as the end of a line."""


@dataclass(frozen=True, slots=True)
class KnownEvents:
    """The events that may be members."""

    events: Mapping[str, EventDefinition]
    """Those without a problem, by name."""
    names: Collection[str]
    """Also those whose files have problems."""
    complete: bool = True
    """Whether each file could be read as far as its event's name."""


def read_channel(root: Node, report: Report, known: KnownEvents) -> ChannelDefinition | None:
    """Return the channel that a document defines; None if there is a problem."""
    if not isinstance(root.value, dict):
        report.add(
            root, f"a channel file is a mapping with channel and members, not {root.describe()}"
        )
        return None
    misplaced = root.get("event")
    if misplaced is not None and root.get("channel") is None:
        report.add_key(
            misplaced, "this file defines an event; move it out of the directory channels"
        )
        return None
    check_keys(root, CHANNEL_KEYS, report)
    name, texts, retention, partitions = read_common(root, "channel", report)
    members = _read_members(root, known, report)
    found = [known.events[one.event] for one in members if one.event in known.events]
    longest = max(found, key=lambda event: event.retention_ms, default=None)
    if retention is not None and longest is not None and retention < longest.retention_ms:
        report.add(
            root.value["retention"],
            f"is shorter than the {format_duration(longest.retention_ms)} of the member "
            f"{longest.name}; a channel keeps events at least as long as its members",
        )
    for event in found if partitions > 1 else ():
        if event.partitions != partitions:
            report.add(
                root.value["partitions"],
                f"the member {event.name} has {event.partitions}; each member needs as many "
                "partitions as the channel, and a partition_key, or leave partitions out",
            )
    if name is None or report.problems or len(found) < len(members) or longest is None:
        return None
    definition = ChannelDefinition(
        name=name,
        members=tuple(sorted(members, key=lambda member: member.event)),
        retention_ms=longest.retention_ms if retention is None else retention,
        **texts,
        partitions=partitions,
        file=report.file,
        line=root.value["channel"].mark.line,
    )
    excess = explain_excess(definition, sum(event.partitions for event in found))
    if excess:
        report.add(root, excess)
    return definition


def _read_members(root: Node, known: KnownEvents, report: Report) -> list[Member]:
    node = root.get("members")
    if node is None:
        return []
    if not isinstance(node.value, tuple) or not node.value:
        report.add(
            node, "must be a list with at least one member, such as - event: Order_Placed__e"
        )
        return []
    members: list[Member] = []
    lines: dict[str, int] = {}
    for item in node.value:
        if not isinstance(item.value, dict):
            report.add(item, f"a member is a mapping with event, not {item.describe()}")
            continue
        check_keys(item, MEMBER_KEYS, report)
        event = _read_event(item, known, report)
        expression = _read_filter(item, known.events.get(event or ""), report)
        start = read_choice(item, "from", MEMBER_STARTS, report)
        if event is None:
            continue
        if event in lines:
            report.add(item.value["event"], f"{event} is a member already, on line {lines[event]}")
            continue
        lines[event] = item.value["event"].mark.line
        members.append(Member(event, expression, start))
    return members


def _read_event(item: Node, known: KnownEvents, report: Report) -> str | None:
    node = item.get("event")
    if node is None:
        return None
    if not isinstance(node.value, str) or not is_event_name(node.value):
        reason = f"{node.describe()} is no event's name: {NAME_RULE}"
        if isinstance(node.value, str) and is_channel_name(node.value):
            reason = "a channel cannot be a member; list that channel's members"
        report.add(node, reason)
        return None
    if node.value in known.names:
        return node.value
    if known.complete:
        guess = suggest(node.value, known.names) or "; define it first"
        report.add(node, f"no file of this project defines {shown(node.value)}{guess}")
    return None


def _read_filter(item: Node, event: EventDefinition | None, report: Report) -> str:
    """Return a member's filter without the white space around it."""
    node = item.get("filter")
    if node is None:
        return ""
    if not isinstance(node.value, str):
        advice = "leave filter out" if node.value is None else "put it in quotes"
        report.add_misfit(node, "text", f"; {advice}")
        return ""
    text = node.value.strip()
    if not text:
        report.add(node, "the filter is empty; leave it out, so that every event passes")
        return ""
    from platform_events.filters import FilterError, check_filter, parse_filter

    try:
        if event is None:
            parse_filter(text)
        else:
            check_filter(text, event.schema)
    except FilterError as error:
        _report_filter(node, error, report)
    return text


def _report_filter(node: Node, error: FilterError, report: Report) -> None:
    """Report a filter's error at its place in the file."""
    assert isinstance(node.value, str)
    lead = len(node.value) - len(node.value.lstrip())
    lines = [0, *(found.end() for found in _BREAK.finditer(report.text))]
    offsets = find_offsets(
        report.text, lines[node.mark.line - 1] + node.mark.column - 1, node.value
    )
    if offsets is None:
        report.add(node, error.message)
        return
    start = offsets[lead + error.start]
    end = offsets[lead + error.end - 1] + 1 if error.end > error.start else start + 1
    line = bisect_right(lines, start)
    mark = Mark(line, start - lines[line - 1] + 1)
    placed = type(error)(error.message, start, end)
    report.add_excerpt(node, mark, error.message, placed.excerpt(report.text))
