"""The catalog as a value: every definition and every schema ever applied in one tenant.

It is folded from the records of one compacted topic: `event/<name>`, `channel/<name>` and
`schema/<id>`, JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from platform_events.definitions.model import ChannelDefinition, Definition, EventDefinition
from platform_events.definitions.schema import Schema
from platform_events.errors import CatalogCorruptError
from platform_events.names import is_channel_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = 1
_EVENT = "event/"
_CHANNEL = "channel/"
_SCHEMA = "schema/"


@dataclass(frozen=True, slots=True)
class Feed:
    """One member of a channel as the router reads it."""

    event: str
    filter: str
    """Expression that an event has to pass; empty: every event passes."""
    added: int
    """Number of the definition that added the member; positions from before it are void."""
    topic_id: str
    """UUID of the member's topic when it was added: whose offsets these are."""
    starts: tuple[int, ...]
    """The first offset to read in each partition that the member had when it was added."""


@dataclass(frozen=True, slots=True)
class Feeding:
    """What the router does for a channel."""

    number: int
    """Counts the definitions: changes whenever members or filters do. From 1 on."""
    feeds: tuple[Feed, ...]
    """In the order of the members."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The name of an event or a channel: what is wanted of it, and what is so."""

    name: str
    project: str
    """The project whose files define it."""
    wanted: Definition | None
    """What the last apply set out to make; None: deleted."""
    active: Definition | None
    """What publishers and subscribers use; None: not yet, or no more."""
    schema_ids: tuple[str, ...] = ()
    """Of an event: every schema that was ever active, the present one last."""
    topic_ids: tuple[str, ...] = ()
    """Every topic UUID it ever had, the present one last."""
    feeding: Feeding | None = None
    """Of a channel that was ever active: how it is fed, or was when it was deleted."""

    @property
    def pending(self) -> bool:
        """Whether an apply has begun and not finished."""
        return self.wanted != self.active


@dataclass(slots=True)
class CatalogState:
    """All entries and schemas. Mutable: it follows the topic."""

    entries: dict[str, Entry] = field(default_factory=dict)
    schemas: dict[str, Schema] = field(default_factory=dict)
    """Schema ID to the newest text under that ID."""

    def fold(self, key: bytes | None, value: bytes | None, position: str) -> None:
        """Take one record of the topic. Writers' fence checks and unknown kinds are passed over.

        Raises:
            CatalogCorruptError: it cannot be read; `position` says where it is.
        """
        name = (key or b"").decode(errors="replace")
        if not name.startswith((_SCHEMA, _EVENT, _CHANNEL)):
            return
        try:
            document = json.loads(value or b"")
            readable = document["version"] <= _VERSION
            if readable and name.startswith(_SCHEMA):
                schema_id = name.removeprefix(_SCHEMA)
                self.schemas[schema_id] = Schema.from_catalog(schema_id, document["schema"])
            elif readable:
                entry = self._read_entry(name, document)
                self.entries[entry.name] = entry
        except Exception as error:
            raise CatalogCorruptError(
                f"catalog record {position} cannot be read ({type(error).__name__}: {error}); "
                "other software wrote into the catalog topic"
            ) from error
        if not readable:
            raise CatalogCorruptError(
                f"catalog record {position} was written by a newer version; upgrade "
                "platform-events here"
            )

    def _read_entry(self, key: str, document: dict[str, Any]) -> Entry:
        kind, _, name = key.partition("/")
        read = self._read_event if kind + "/" == _EVENT else _read_channel
        feeding = document.get("feeding")
        return Entry(
            name=name,
            project=document["project"],
            wanted=read(document["wanted"]),
            active=read(document["active"]),
            schema_ids=tuple(document["schema_ids"]),
            topic_ids=tuple(document["topic_ids"]),
            feeding=_read_feeding(feeding) if feeding is not None else None,
        )

    def _read_event(self, document: dict[str, Any] | None) -> EventDefinition | None:
        if document is None:
            return None
        return EventDefinition.from_json(document, self.schemas[document["schema_id"]])


def _read_channel(document: dict[str, Any] | None) -> ChannelDefinition | None:
    return None if document is None else ChannelDefinition.from_json(document)


def _read_feeding(document: dict[str, Any]) -> Feeding:
    feeds = [Feed(**{**feed, "starts": tuple(feed["starts"])}) for feed in document["feeds"]]
    return Feeding(document["number"], tuple(feeds))


def entry_records(entries: Iterable[Entry]) -> dict[str, bytes]:
    """Return the topic's records, key to value, for these entries and their schemas.

    Schemas come first, so that whoever reads in order knows them.
    """
    schemas: dict[str, bytes] = {}
    records: dict[str, bytes] = {}
    for entry in entries:
        for definition in (entry.active, entry.wanted):
            if isinstance(definition, EventDefinition):
                schemas[_SCHEMA + definition.schema.id] = _to_json(
                    {"schema": json.loads(definition.schema.text)}
                )
        document: dict[str, Any] = {
            "project": entry.project,
            "wanted": entry.wanted and entry.wanted.to_json(),
            "active": entry.active and entry.active.to_json(),
            "schema_ids": entry.schema_ids,
            "topic_ids": entry.topic_ids,
        }
        if entry.feeding is not None:
            document["feeding"] = asdict(entry.feeding)
        kind = _CHANNEL if is_channel_name(entry.name) else _EVENT
        records[kind + entry.name] = _to_json(document)
    return schemas | records


def _to_json(document: dict[str, Any]) -> bytes:
    return json.dumps({"version": _VERSION, **document}, separators=(",", ":")).encode()
