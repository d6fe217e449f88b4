"""The checker: compares a channel with its members, event by event, by means of its own.

It reads with a bare consumer, takes the origins apart itself, and judges by predicates written in
Python, so that it shares no code with the router, except for the tags of replay IDs.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import fastavro

from platform_events.replay import StreamIdentity
from platform_events.settings import Settings
from tests.channels.stored import Row, read_identities, read_topic

_IDENTITY = {"ce_id", "ce_type"}
_NEVER = 2**62


Verdict: TypeAlias = Callable[[Row], bool | None]
"""True: into the channel. False: filtered out. None: dead-lettered."""


@dataclass(frozen=True, slots=True)
class Period:
    """A member's filter, from one definition of the channel to the next that changes it."""

    definition: int
    """The first definition with it."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Stay:
    """An event's membership, from the definition that adds it to the one that drops it."""

    event: str
    periods: Sequence[Period]
    """In their order. The first one's definition is the one that adds the member."""
    dropped: int = _NEVER
    """The definition without it."""
    starts: Sequence[int] = ()
    """The first offset of each partition that counts; those not given begin at 0."""
    ends_early: bool = False
    """Records after the last one that was routed need not be judged: routing has stopped."""

    @property
    def added(self) -> int:
        return self.periods[0].definition

    def start(self, partition: int) -> int:
        return self.starts[partition] if partition < len(self.starts) else 0


def everything(*events: str) -> list[Stay]:
    """Return that all records of these members pass from the first definition on."""
    return [Stay(event, [Period(1, all_pass)]) for event in events]


@dataclass(slots=True)
class Origin:
    """A channel's header, taken apart. Not frozen, for the same reason as a row."""

    event: str
    definition: int
    partition: int
    offset: int
    time_ms: int
    replay_id: str

    @classmethod
    def of(cls, headers: Sequence[tuple[str, bytes | None]]) -> Origin | None:
        """Return the origin among some headers; None if there is none, or it is no such text."""
        for name, value in reversed(headers):
            if name == "ce_origin":
                parts = (value or b"").decode(errors="replace").split(" ")
                if len(parts) != 6 or not parts[0].startswith("/event/"):
                    return None
                numbers = [int(part) for part in parts[1:5] if part.isdecimal()]
                if len(numbers) != 4:
                    return None
                event = parts[0].removeprefix("/event/")
                return cls(event, numbers[0], numbers[1], numbers[2], numbers[3], parts[5])
        return None


@dataclass(slots=True)
class Findings:
    """What is wrong with a channel, in words; nothing if nothing is."""

    missing: list[str] = field(default_factory=list)
    """Member events that should be in it and are not."""
    doubled: list[str] = field(default_factory=list)
    """Member events that are in it more than once."""
    swapped: list[str] = field(default_factory=list)
    """Member events that come before an earlier one of their partition."""
    foreign: list[str] = field(default_factory=list)
    """Records that should not be in it."""
    altered: list[str] = field(default_factory=list)
    """Events that differ from what the member has."""
    checked: int = 0
    """Member records that were looked at."""
    found: int = 0
    """Records of the channel."""

    def assert_none(self) -> None:
        """Fail with counts and the first of each kind."""
        lines = []
        for one in fields(self):
            texts = getattr(self, one.name)
            if isinstance(texts, list) and texts:
                lines.append(f"{len(texts)} {one.name}: " + "; ".join(texts[:5]))
        assert not lines, f"{self.checked} member records, {self.found} in the channel\n" + (
            "\n".join(lines)
        )


Logs: TypeAlias = "Mapping[str, Sequence[Sequence[Row]]]"
"""By event: the records of each partition, in order."""


def compare(
    stays: Iterable[Stay],
    members: Logs,
    channel: Sequence[Sequence[Row]],
    dead_letters: Sequence[Row] = (),
    *,
    identities: Mapping[str, StreamIdentity] | None = None,
    changes: Mapping[int, Sequence[int]] | None = None,
) -> Findings:
    """Compare a channel's records with its members' records.

    Args:
        stays: who was a member when, by which filters.
        members: their records.
        channel: the records of each partition of the channel.
        dead_letters: what was dead-lettered.
        identities: of the members' streams, to check the origins' replay IDs; None: they are not.
        changes: for numbers of definitions, the offset in each partition of the channel from
            which on exactly they hold.
    """
    findings = Findings(found=sum(map(len, channel)))
    stays = list(stays)
    routed = _sort_out(channel, stays, members, findings, changes or {})
    dead_lettered = _sort_out([dead_letters], stays, members, findings, {}, is_channel=False)
    for number, stay in enumerate(stays):
        for partition, rows in enumerate(members[stay.event]):
            found = routed.get((number, partition), [])
            buried = dead_lettered.get((number, partition), [])
            _check_order(found, findings)
            _check_presence(stay, partition, rows, found, buried, findings)
            if len(channel) > 1:
                findings.foreign += [
                    f"{_name(origin)} in partition {row.partition}"
                    for origin, row in found
                    if row.partition != partition
                ]
            by_offset = {row.offset: row for row in rows}
            identity = identities[stay.event] if identities else None
            for origin, row in (*found, *buried):
                if origin.offset in by_offset:
                    _check_content(origin, row, by_offset[origin.offset], identity, findings)
    return findings


_Found: TypeAlias = "list[tuple[Origin, Row]]"


def _name(origin: Origin) -> str:
    return f"{origin.event}[{origin.partition}]@{origin.offset} by {origin.definition}"


def _place(row: Row) -> str:
    return f"{row.topic}[{row.partition}]@{row.offset}"


def _of_member(stay: Stay, row: Row) -> str:
    return f"{stay.event}[{row.partition}]@{row.offset}"


def _sort_out(
    partitions: Sequence[Sequence[Row]],
    stays: Sequence[Stay],
    members: Logs,
    findings: Findings,
    changes: Mapping[int, Sequence[int]],
    *,
    is_channel: bool = True,
) -> dict[tuple[int, int], _Found]:
    """Return what was found, by stay and partition of the member; note what belongs to none."""
    sorted_out: dict[tuple[int, int], _Found] = {}
    for rows in partitions:
        newest = 0
        for row in rows:
            origin = Origin.of(row.headers)
            if origin is None:
                findings.foreign.append(f"{_place(row)} has no origin")
                continue
            if is_channel and row.headers[-1][0] != "ce_origin":
                findings.altered.append(f"{_place(row)}: the origin is not the last header")
            if is_channel and origin.definition < newest:
                findings.swapped.append(f"{_place(row)}: {_name(origin)} after definition {newest}")
            newest = max(newest, origin.definition)
            findings.swapped += [
                f"{_place(row)}: {_name(origin)}, although {number} holds from "
                f"{ats[row.partition]} on"
                for number, ats in changes.items()
                if (row.offset >= ats[row.partition]) != (origin.definition >= number)
            ]
            matching = [
                number
                for number, stay in enumerate(stays)
                if stay.event == origin.event and stay.added <= origin.definition < stay.dropped
            ]
            if not matching or origin.partition >= len(members[origin.event]):
                findings.foreign.append(f"{_place(row)}: {_name(origin)} is of no member")
                continue
            sorted_out.setdefault((matching[0], origin.partition), []).append((origin, row))
    return sorted_out


def _check_order(found: _Found, findings: Findings) -> None:
    times = Counter(origin.offset for origin, _ in found)
    findings.doubled += [
        f"{_name(origin)} {times.pop(origin.offset)} times"
        for origin, _ in found
        if times.get(origin.offset, 0) > 1
    ]
    highest = -1
    for origin, _ in found:
        if origin.offset < highest:
            findings.swapped.append(f"{_name(origin)} after {highest}")
        highest = max(highest, origin.offset)


def _check_presence(
    stay: Stay,
    partition: int,
    rows: Sequence[Row],
    found: _Found,
    buried: _Found,
    findings: Findings,
) -> None:
    """Check that some moments of the changes explain what is there and what is not.

    Which record of a member was the first under a filter is the router's to choose, but there has
    to be one: so each record is judged by each period that may have begun.
    """

    there = {origin.offset: origin.definition for origin, _ in found}
    dead = {origin.offset: origin.definition for origin, _ in buried}
    if len(dead) < len(buried):
        findings.doubled.append(f"{stay.event}[{partition}] has records dead-lettered twice")
    present = {row.offset for row in rows}
    findings.foreign += [
        f"{stay.event}[{partition}]@{offset} is no record" for offset in {*there, *dead} - present
    ]
    bounds = [*(period.definition for period in stay.periods[1:]), stay.dropped]
    periods = [*zip(stay.periods, bounds, strict=True)]
    if stay.dropped != _NEVER or stay.ends_early:
        periods.append((Period(-1, lambda _: False), 0))
    reached = 0
    for row in rows:
        findings.checked += 1
        if row.offset < stay.start(partition):
            if row.offset in there or row.offset in dead:
                where = _of_member(stay, row)
                findings.foreign.append(f"{where} is from before the member was added")
            continue
        for number in range(reached, len(periods)):
            (period, until), verdict = periods[number], periods[number][0].verdict(row)
            place = there if verdict else dead if verdict is None else None
            if place is None:
                fits = row.offset not in there and row.offset not in dead
            else:
                other = dead if place is there else there
                fits = row.offset not in other and (
                    period.definition <= place.get(row.offset, -1) < until
                )
            if fits:
                reached = number
                break
        else:
            if row.offset in there or row.offset in dead:
                findings.foreign.append(f"{_of_member(stay, row)} should not be where it is")
            else:
                findings.missing.append(_of_member(stay, row))


def _check_content(
    origin: Origin, row: Row, source: Row, identity: StreamIdentity | None, findings: Findings
) -> None:
    faults = []
    is_dead = row.headers[-1][0] != "ce_origin"
    if row.key != source.key:
        faults.append(f"key {row.key!r}, not {source.key!r}")
    if row.value != source.value and not (is_dead and row.value is None):
        faults.append("another body")
    headers = row.headers[: -2 if is_dead else -1]
    added, kept = _split(headers, len(source.headers))
    own = {name for name, value in source.headers if value}
    if kept != source.headers:
        faults.append(f"headers {kept}, not {source.headers}")
    elif {name for name, _ in added} != (set() if is_dead else _IDENTITY - own):
        faults.append(f"headers {added} were added")
    if origin.time_ms != source.time_ms:
        faults.append(f"stored at {origin.time_ms}, not {source.time_ms}")
    if identity is not None and origin.replay_id != _replay_id(source, identity):
        faults.append(f"replay ID {origin.replay_id} is another event's")
    if is_dead and (row.headers[-1][0] != "ce_deadletterreason" or not row.headers[-1][1]):
        faults.append("no reason says why it was dead-lettered")
    findings.altered += [f"{_name(origin)}: {fault}" for fault in faults]


def _split(
    headers: tuple[tuple[str, bytes | None], ...], count: int
) -> tuple[tuple[tuple[str, bytes | None], ...], tuple[tuple[str, bytes | None], ...]]:
    at = max(len(headers) - count, 0)
    return headers[:at], headers[at:]


def _replay_id(source: Row, identity: StreamIdentity) -> str:
    offset_tag, time_tag = identity.tags
    if identity.partitions == 1:
        number, tag = source.offset + 1, offset_tag
    else:
        number, tag = source.time_ms - 5_000, time_tag
    text = base64.urlsafe_b64encode(number.to_bytes(8, "big") + tag.to_bytes(2, "big"))
    return text.decode().rstrip("=")


def payload_verdict(schema: Any, predicate: Callable[[dict[str, Any]], bool | None]) -> Verdict:
    """Return a verdict by the decoded payload, for records that were written with that schema."""
    parsed = fastavro.parse_schema(schema)

    def verdict(row: Row) -> bool | None:
        payload = fastavro.schemaless_reader(io.BytesIO(row.value or b""), parsed, None)
        assert isinstance(payload, dict)
        return predicate(payload)

    return verdict


def all_pass(_: Row) -> bool:
    """Return the verdict of a member without a filter."""
    return True


def check_channel(
    settings: Settings,
    name: str,
    stays: Sequence[Stay],
    changes: Mapping[int, Sequence[int]] | None = None,
) -> Findings:
    """Compare a channel as it is now with its members as they are now."""
    return check_channels(settings, {name: stays}, changes)[name]


def check_channels(
    settings: Settings,
    channels: Mapping[str, Sequence[Stay]],
    changes: Mapping[int, Sequence[int]] | None = None,
) -> dict[str, Findings]:
    """Compare channels as they are now with their members, each of which is read once."""
    namespace = settings.namespace
    # The channels first: what comes into them meanwhile is not judged by members read before.
    records = {name: read_topic(settings, namespace.topic(name)) for name in channels}
    letters = {name: read_topic(settings, namespace.dead_letters(name))[0] for name in channels}
    events = {stay.event for stays in channels.values() for stay in stays}
    members = {event: read_topic(settings, namespace.topic(event)) for event in events}
    identities = read_identities(settings, events)
    return {
        name: compare(
            stays,
            members,
            records[name],
            letters[name],
            identities=identities,
            changes=changes,
        )
        for name, stays in channels.items()
    }
