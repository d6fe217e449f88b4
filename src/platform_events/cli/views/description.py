"""One stream as people think of it: what it is for, what is in its events, how full it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from platform_events.cli.terminal.output import (
    in_words,
    print_facts,
    print_line,
    print_lines,
    print_table,
)
from platform_events.cli.views.streams import describe_streams, print_channels
from platform_events.definitions.compatibility import describe_type
from platform_events.definitions.model import ChannelDefinition, EventDefinition
from platform_events.errors import UnknownStreamError
from platform_events.names import stream_path
from platform_events.payloads.types import parse_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.bus.bus import EventBus
    from platform_events.catalog.state import Entry


def describe_stream(bus: EventBus, name: str) -> dict[str, Any]:
    """Return one stream as JSON: what `streams` says of it, and its definition.

    Raises:
        UnknownStreamError: there is no such stream.
        CatalogCorruptError: its catalog record cannot be read.
        BrokerError: the cluster cannot be asked.
    """
    entry = bus.catalog.entry(name)
    definition = entry.active
    assert definition is not None
    held = describe_streams(bus, only=name)
    if not held:
        raise UnknownStreamError(stream_path(name), f"{name} was deleted just now")
    document = held[0] | {
        "label": definition.label,
        "description": definition.description,
        "owner": definition.owner,
        "project": entry.project,
    }
    if isinstance(definition, EventDefinition):
        document |= _describe_event(definition, entry) | {"channels": _channels_with(bus, name)}
    return document


def print_description(document: dict[str, Any]) -> None:
    """Print one stream for people."""
    print_lines(filter(None, (document["stream"], document["label"], document["description"])))
    print_line("")
    print_facts(dict(_facts(document)))
    print_line("")
    if "members" in document:
        print_channels([document])
        return
    rows = [
        [field["name"], field["type"], _default_text(field), field["doc"]]
        for field in document["fields"]
    ]
    print_table(["FIELD", "TYPE", "DEFAULT", "DOC"], rows)
    print_line("")
    schemas = document["schemas"]
    rows = [[str(number), schema_id] for number, schema_id in enumerate(schemas, 1)]
    print_table(["VERSION", "SCHEMA"], rows[::-1], (0,))


def _describe_event(definition: EventDefinition, entry: Entry) -> dict[str, Any]:
    record = parse_record(definition.schema.parsed)
    docs = {field["name"]: field.get("doc", "") for field in definition.schema.parsed["fields"]}
    return {
        "partition_key": definition.partition_key,
        "compatibility": definition.compatibility,
        "fields": [
            {"name": field.name, "type": describe_type(field.type), "doc": docs[field.name]}
            | ({"default": field.default} if field.has_default else {})
            for field in record.fields
        ],
        "schemas": list(entry.schema_ids),
    }


def _channels_with(bus: EventBus, event: str) -> list[dict[str, Any]]:
    """Return the channels that contain an event, with their filters of it."""
    return [
        {"channel": entry.name, "filter": member.filter or None}
        for entry in bus.catalog.entries()
        if isinstance(entry.active, ChannelDefinition)
        for member in entry.active.members
        if member.event == event
    ]


def _facts(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "owner", document["owner"] or "-"
    yield "project", document["project"]
    yield "state", document["state"]
    key = document.get("partition_key")
    yield "partitions", f"{document['partitions']}" + (f", by {key}" if key else "")
    oldest, newest = document["oldest_at"], document["newest_at"]
    age = f"; the oldest event is {_age(oldest)} old" if oldest else ""
    yield "retention", f"{document['retention']}{age}"
    if document["events"] is not None:
        bound = "" if document["events_exact"] else "at most "
        last = f"; {document['events_last_minute']:,} in the last minute"
        yield "events", f"{bound}{document['events']:,}{last}"
    yield "newest", newest or "-"
    if "members" not in document:
        channels = [one["channel"] for one in document["channels"]]
        yield "channels", ", ".join(channels) or "none contains it"
        yield "compatibility", document["compatibility"]


def _age(moment: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    return in_words(max(seconds, 0))


def _default_text(field: dict[str, Any]) -> str:
    return json.dumps(field["default"], ensure_ascii=False) if "default" in field else "-"
