"""The catalog as a value: every definition and every schema ever applied in one tenant.

It is folded from the records of one compacted topic: `event/<name>` and `schema/<id>`, JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from platform_events.definitions.model import EventDefinition
from platform_events.definitions.schema import Schema
from platform_events.errors import CatalogCorruptError

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = 1
_EVENT = "event/"
_SCHEMA = "schema/"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event name: what is wanted of it, and what is so."""

    name: str
    project: str
    """The project whose files define it."""
    wanted: EventDefinition | None
    """What the last apply set out to make; None: deleted."""
    active: EventDefinition | None
    """What publishers and subscribers use; None: not yet, or no more."""
    schema_ids: tuple[str, ...] = ()
    """Every schema that was ever active, the present one last."""
    topic_ids: tuple[str, ...] = ()
    """Every topic UUID it ever had, the present one last."""

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
            CatalogCorruptError: it cannot be read; `position` says where it stands.
        """
        name = (key or b"").decode(errors="replace")
        if not name.startswith((_SCHEMA, _EVENT)):
            return
        try:
            document = json.loads(value or b"")
            readable = document["version"] <= _VERSION
            if readable and name.startswith(_SCHEMA):
                schema = Schema.parse(document["schema"])
                self.schemas[schema.id] = schema
            elif readable:
                entry = self._read_entry(name.removeprefix(_EVENT), document)
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

    def _read_entry(self, name: str, document: dict[str, Any]) -> Entry:
        return Entry(
            name=name,
            project=document["project"],
            wanted=self._read_definition(document["wanted"]),
            active=self._read_definition(document["active"]),
            schema_ids=tuple(document["schema_ids"]),
            topic_ids=tuple(document["topic_ids"]),
        )

    def _read_definition(self, document: dict[str, Any] | None) -> EventDefinition | None:
        if document is None:
            return None
        return EventDefinition.from_json(document, self.schemas[document["schema_id"]])


def entry_records(entries: Iterable[Entry]) -> dict[str, bytes]:
    """Return the topic's records, key to value, for these entries and their schemas.

    Schemas come first, so that whoever reads in order knows them.
    """
    schemas: dict[str, bytes] = {}
    records: dict[str, bytes] = {}
    for entry in entries:
        for definition in (entry.active, entry.wanted):
            if definition is not None:
                schemas[_SCHEMA + definition.schema.id] = _to_json(
                    {"schema": json.loads(definition.schema.text)}
                )
        records[_EVENT + entry.name] = _to_json(
            {
                "project": entry.project,
                "wanted": _definition_json(entry.wanted),
                "active": _definition_json(entry.active),
                "schema_ids": entry.schema_ids,
                "topic_ids": entry.topic_ids,
            }
        )
    return schemas | records


def _definition_json(definition: EventDefinition | None) -> dict[str, Any] | None:
    if definition is None:
        return None
    return {**definition.to_json(), "schema_id": definition.schema.id}


def _to_json(document: dict[str, Any]) -> bytes:
    return json.dumps({"version": _VERSION, **document}, separators=(",", ":")).encode()
