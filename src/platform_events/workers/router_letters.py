"""The dead letters of a channel: what its router could not put into it, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_events.envelope import DEAD_LETTER_REASON, ORIGIN, Origin
from platform_events.errors import UnknownStreamError
from platform_events.kafka.reader import read_range
from platform_events.names import stream_name, stream_path
from platform_events.workers.dead_letter import Letter, event_facts, unknown_letter
from platform_events.workers.letter_reader import StoredLetter
from platform_events.workers.letter_view import LetterDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.bus.bus import EventBus
    from platform_events.kafka.reader import Record
    from platform_events.workers.letter_view import LetterFilter, ShownLetter

UNROUTABLE = "unroutable"
"""The reason of all of them; the message says more."""


def show_router_letters(bus: EventBus, channel: str, wanted: LetterFilter) -> Iterator[ShownLetter]:
    """Yield a channel's dead letters in the order in which they were written.

    Their IDs are places in the members' streams, so letters of two members may have the same.

    Args:
        bus: of the tenant.
        channel: its name.
        wanted: which ones.

    Raises:
        UnknownStreamError: there is no such channel.
        UnknownLetterError: an ID that is asked for is none; after the others.
        BrokerError: the topic cannot be read.
    """
    bus.catalog.entry(channel)
    settings, admin = bus.settings, bus.admin
    topic = settings.namespace.dead_letters(channel)
    found = admin.describe_one(topic)
    if found is None:
        raise UnknownStreamError(
            stream_path(channel),
            f"the topic of the dead letters of {channel} is gone: {topic}; platform-events apply "
            "makes it again",
        )
    marks = admin.watermarks({topic: found.partitions})[topic]
    decoders: dict[str, LetterDecoder] = {}
    missing = set(wanted.ids)
    for record in read_range(settings, topic, marks, promptly=True):
        opened = _open(record)
        if opened is None:
            continue
        member, letter, headers = opened
        if (wanted.ids and letter.id not in wanted.ids) or not wanted.passes(letter):
            continue
        missing.discard(letter.id)
        decoder = decoders.get(member) or LetterDecoder(bus, member, _topic_id(bus, member))
        decoders[member] = decoder
        stored = StoredLetter(letter, settings.namespace.topic(member), record.value(), headers)
        yield decoder.show(stored, channel, "dead")
    for id_ in sorted(missing):
        raise unknown_letter(id_, f"channel {channel}")


def _open(record: Record) -> tuple[str, Letter, list[tuple[str, bytes | None]]] | None:
    """Return member, letter and the event's headers; None for what no router wrote."""
    headers = record.headers() or []
    if [name for name, _ in headers[-2:]] != [ORIGIN, DEAD_LETTER_REASON]:
        return None
    *own, (_, origin_text), (_, reason) = headers
    origin = Origin.parse(origin_text)
    if origin is None:
        return None
    type_, event_id, schema_id = event_facts(own)
    written_ms = record.timestamp()[1]
    letter = Letter(
        origin.partition,
        origin.offset,
        version=1,
        status="dead",
        stops_key=False,
        reason=UNROUTABLE,
        message=(reason or b"").decode(errors="replace"),
        attempts=1,
        first_failure_ms=written_ms,
        last_failure_ms=written_ms,
        type=type_,
        event_id=event_id,
        schema_id=schema_id,
        replay_id=str(origin.replay_id),
        stored_ms=origin.appended_ms,
        key=record.key(),
        has_body=record.value() is not None,
        journal_offset=record.offset(),
    )
    return stream_name(origin.stream), letter, own


def _topic_id(bus: EventBus, member: str) -> str:
    """Return the UUID of a member's topic; empty if it is no event any more."""
    try:
        return bus.catalog.entry(member).topic_ids[-1]
    except UnknownStreamError:
        return ""
