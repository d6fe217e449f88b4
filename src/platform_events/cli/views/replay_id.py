"""What a replay ID says, and what the tenant's streams say about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from platform_events.bus.event import EPOCH
from platform_events.bus.starts import identify
from platform_events.cli.terminal.output import iso_time
from platform_events.names import stream_path
from platform_events.replay import (
    OffsetPosition,
    ReplayError,
    ReplayExpiredError,
    ReplayId,
    StreamIdentity,
    TimePosition,
    check_retained,
    locate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from platform_events.bus.bus import EventBus
    from platform_events.catalog.state import Entry
    from platform_events.kafka.admin import Topic

_NUMBER_BYTES = 8
READABLE = "READABLE"
DELETED = "STREAM_DELETED"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one stream says about the ID."""

    stream: str
    code: str
    """READABLE, STREAM_DELETED, or the code of the error that subscribing would raise."""
    message: str
    earliest_replay_id: str | None = None
    """When EXPIRED: resuming after it delivers the oldest event still there."""
    lost: int | None = None
    """When EXPIRED: how many events are gone at most."""
    lag: int | None = None
    """When READABLE: how many events come after it at most."""

    def document(self) -> dict[str, Any]:
        """Return it as JSON, without what does not apply."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value is not None}


def form_document(replay_id: ReplayId) -> dict[str, Any]:
    """Return what the ID says by itself."""
    vector = replay_id.vector()
    document: dict[str, Any] = {
        "replay_id": str(replay_id),
        "bytes": len(replay_id),
        "tag": f"{replay_id.tag:04x}" if replay_id.tag else None,
    }
    if vector:
        return document | {
            "form": "offsets",
            "next_offsets": list(vector),
            "time": _iso(replay_id.value),
        }
    # A stream of several partitions tells the two meanings of a bare number apart by its size.
    bare = ReplayId(replay_id[:_NUMBER_BYTES])
    if isinstance(locate(bare, "", StreamIdentity("", "", partitions=2)), TimePosition):
        return document | {"form": "time", "time": _iso(replay_id.value)}
    return document | {"form": "offset", "next_offset": replay_id.value}


def find_verdicts(bus: EventBus, replay_id: ReplayId) -> list[Verdict]:
    """Return the verdict of each stream whose tag the ID has; none for an ID without a tag.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    if not replay_id.tag:
        return []
    bus.catalog.refresh()
    entries = sorted(bus.catalog.known(), key=lambda entry: entry.name)
    names = {entry.name: bus.settings.namespace.topic(entry.name) for entry in entries}
    topics = bus.admin.describe(
        names.values(), expected=[names[entry.name] for entry in entries if entry.active]
    )
    cluster_id = bus.admin.cluster_id()
    verdicts = []
    for entry in entries:
        topic = topics[names[entry.name]]
        known = {*entry.topic_ids, *([topic.topic_id] if topic else [])}
        tags = StreamIdentity(cluster_id, "", 1, tuple(known)).former_tags
        if replay_id.tag in tags:
            verdicts.append(_judge(bus, entry, topic, replay_id))
    return verdicts


def text_lines(document: dict[str, Any], verdicts: list[Verdict] | None, tenant: str) -> list[str]:
    """Return all of it in words; None stands for verdicts that could not be asked for."""
    lines = [f"replay ID {document['replay_id']} ({document['bytes']} bytes)", *_form(document)]
    if document["tag"] is None:
        lines.append("It has no stream's tag (it was cut off), so any stream accepts it unchecked.")
    elif verdicts is not None and not verdicts:
        lines.append(
            f"No stream of tenant {tenant!r}, present or former, gave it out: it is another "
            "tenant's or cluster's, or made up."
        )
    lines += [f"{item.stream}: {item.code}: {item.message}" for item in verdicts or ()]
    return lines


def _form(document: dict[str, Any]) -> Iterator[str]:
    match document["form"]:
        case "offsets":
            yield (
                f"A position in a stream of {len(document['next_offsets'])} partitions. "
                "The next offset of each:"
            )
            for partition, offset in enumerate(document["next_offsets"]):
                yield f"    partition {partition}: {offset:,}"
            yield (
                "Cut to its first 8 bytes it still resumes, at least once, with what was stored "
                f"from {document['time']} on."
            )
        case "time":
            yield (
                "A time, from a result of publishing to several partitions or cut off from a "
                "longer ID. Reading on, at least once, begins with what was stored from "
                f"{document['time']} on."
            )
        case _ if document["next_offset"] == 0:
            yield "The position before the first event of a stream of one partition."
        case _:
            yield (
                f"A position in a stream of one partition: after event number "
                f"{document['next_offset']:,} since the stream was made. "
                f"The next offset is {document['next_offset']:,}."
            )


def _judge(bus: EventBus, entry: Entry, topic: Topic | None, replay_id: ReplayId) -> Verdict:
    path = stream_path(entry.name)
    if topic is None or entry.active is None:
        return Verdict(path, DELETED, "the stream was deleted; its events are gone")
    identity = identify(entry, topic, bus.admin.cluster_id()).identity
    marks = bus.admin.watermarks({topic.name: topic.partitions})[topic.name]
    try:
        position = locate(replay_id, path, identity)
        if isinstance(position, OffsetPosition):
            check_retained(position, replay_id, path, identity, marks)
            offsets: Sequence[int] = position.offsets
        else:
            offsets = bus.admin.offsets_since(topic.name, marks, position.time_ms)
    except ReplayExpiredError as error:
        return Verdict(path, error.code, _plain(error, path), str(error.earliest), error.lost)
    except ReplayError as error:
        return Verdict(path, error.code, _plain(error, path))
    lag = sum(end for _, end in marks) - sum(offsets)
    events = "event follows" if lag == 1 else "events follow"
    message = f"at most {lag:,} {events}" if lag else "it is the end of the stream"
    return Verdict(path, READABLE, message, lag=lag)


def _plain(error: ReplayError, path: str) -> str:
    return str(error).removeprefix(f"{path}: ")


def _iso(time_ms: int) -> str:
    try:
        return iso_time(EPOCH + timedelta(milliseconds=time_ms))
    except OverflowError:
        return f"{time_ms} ms since 1970"
