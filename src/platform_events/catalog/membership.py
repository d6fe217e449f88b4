"""What events and channels must not do to each other, whichever of them changes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from platform_events.catalog.ownership import is_deleted, refuse_other_owner
from platform_events.catalog.topics import count_partitions
from platform_events.definitions.durations import format_duration
from platform_events.definitions.model import ChannelDefinition, EventDefinition
from platform_events.payloads.types import Record, branches_of, parse_record

if TYPE_CHECKING:
    from collections.abc import Collection

    from platform_events.catalog.changes import PlanOptions
    from platform_events.catalog.state import CatalogState, Entry
    from platform_events.definitions.model import Definitions, Member
    from platform_events.definitions.schema import Schema


def find_conflicts(
    desired: Definitions, state: CatalogState, options: PlanOptions
) -> dict[str, list[str]]:
    """Return what is refused because of what other definitions need, by event or channel.

    Channels that files define are judged with their members. A channel that is only in the
    catalog goes on as it is, so what it cannot live with is refused of the event.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, channel in desired.channels.items():
        for member in channel.members:
            found[name] += _judge_member(channel, member, desired.events.get(member.event))
    for entry in state.entries.values():
        if is_deleted(entry, desired, options):
            continue
        is_other = refuse_other_owner(entry, desired.project) is not None
        kept = is_other or entry.name not in desired.channels
        live = (entry.active, entry.wanted if kept else None)
        for channel in dict.fromkeys(one for one in live if isinstance(one, ChannelDefinition)):
            for member in channel.members:
                found[member.event] += _judge_event(
                    channel, member, desired, state, options, kept=kept
                )
    return {name: list(dict.fromkeys(texts)) for name, texts in found.items() if texts}


def find_deserted(
    replaced: Collection[str], desired: Definitions, state: CatalogState, options: PlanOptions
) -> dict[str, list[str]]:
    """Return what is refused of events that get other topics: channels go on only if files do."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for entry in state.entries.values():
        channel = entry.active
        if not isinstance(channel, ChannelDefinition) or is_deleted(entry, desired, options):
            continue
        if channel.name in desired.channels:
            continue
        for member in channel.members:
            if member.event in replaced:
                found[member.event].append(
                    f"{channel.name}, which no file here defines, would not go on with its new "
                    "topic; define it again, or delete it first"
                )
    return found


def _judge_member(
    channel: ChannelDefinition, member: Member, event: EventDefinition | None
) -> list[str]:
    """Return what a channel that files define cannot be, because of one of its members."""
    name = member.event
    if event is None:
        return [f"no file of this project defines its member {name}; define it, or drop it"]
    refusals = []
    if event.retention_ms > channel.retention_ms:
        refusals.append(
            f"retention {format_duration(channel.retention_ms)} is shorter than the "
            f"{format_duration(event.retention_ms)} of its member {name}; keep the channel at "
            "least as long"
        )
    if channel.partitions not in (1, event.partitions):
        refusals.append(
            f"it has {channel.partitions} partitions and its member {name} "
            f"{event.partitions}; each member needs as many as the channel, or the channel 1"
        )
    problem = _check_filter(member.filter, event.schema) if member.filter else None
    if problem is not None:
        refusals.append(f"the filter of {name}: {problem[0]}")
    return refusals


def _judge_event(
    channel: ChannelDefinition,
    member: Member,
    desired: Definitions,
    state: CatalogState,
    options: PlanOptions,
    *,
    kept: bool,
) -> list[str]:
    """Return what an event cannot be, because of a channel that is in the catalog.

    `kept`: no file of this project defines the channel, so nothing of it changes.
    """
    before = state.entries.get(member.event)
    event = desired.events.get(member.event)
    if event is None:
        if before is not None and is_deleted(before, desired, options):
            return [f"{channel.name} has it as a member; drop it there and apply, then delete it"]
        return []
    refusals = []
    if member.filter and _schema_of(before) != event.schema:
        problem = _check_filter(member.filter, event.schema)
        if problem is not None:
            message, missing = problem
            refusals.append(
                f"the filter of {channel.name} uses {missing}; change the filter and apply, then "
                "drop the field"
                if missing
                else f"the filter of {channel.name} would be wrong: {message}; change the filter "
                "and apply first"
            )
    advice = f"{channel.name}, which no file here defines; change it first, or delete it"
    if kept and event.retention_ms > channel.retention_ms:
        refusals.append(
            f"retention {format_duration(event.retention_ms)} is longer than the "
            f"{format_duration(channel.retention_ms)} of the channel {advice}"
        )
    if kept and channel.partitions not in (1, event.partitions):
        refusals.append(
            f"{count_partitions(event.partitions)} do not fit the {channel.partitions} of the "
            f"channel {advice}"
        )
    return refusals


def _schema_of(entry: Entry | None) -> Schema | None:
    active = entry.active if entry is not None else None
    return active.schema if isinstance(active, EventDefinition) else None


def _check_filter(text: str, schema: Schema) -> tuple[str, str] | None:
    """Return what is wrong with a filter and which of its fields is missing, if one is."""
    from platform_events.filters import FilterError, check_filter, filter_fields, parse_filter

    try:
        check_filter(text, schema)
    except FilterError as error:
        try:
            fields = filter_fields(parse_filter(text))
        except FilterError:
            return error.message, ""
        top = parse_record(schema.parsed)
        missing = [path for path in sorted(fields) if not _has_field(top, path.split("."))]
        return error.message, ", ".join(missing)
    return None


def _has_field(record: Record, path: list[str]) -> bool:
    for item in record.fields:
        if item.name == path[0]:
            return len(path) == 1 or any(
                isinstance(part, Record) and _has_field(part, path[1:])
                for part in branches_of(item.type)
            )
    return False
