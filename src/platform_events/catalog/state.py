"""The catalog as a value: every definition and every schema ever applied in one tenant.

It is folded from the records of one compacted topic: `event/<name>`, `channel/<name>` and
`schema/<id>`, JSON. A record is read when it is first asked for, and leniently: what an apply
accepted was judged then. One that cannot be read, or that a newer version wrote, condemns nothing
but itself; applying its definition writes it again. Keys that this version does not know are kept.
"""

from __future__ import annotations

import json
from collections import UserDict
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from platform_events.definitions.model import ChannelDefinition, Definition, EventDefinition
from platform_events.definitions.schema import Schema
from platform_events.errors import CatalogCorruptError
from platform_events.names import is_channel_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_VERSION = 1
_EVENT = "event/"
_CHANNEL = "channel/"
_SCHEMA = "schema/"

_T = TypeVar("_T")


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
    """The project whose files define it; empty if that cannot be read."""
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
    retired: bool = False
    """Whether its topics are deleted before anything is made under its name: an apply has begun."""
    unreadable: str = ""
    """Why its record cannot be read, and what to do; then nothing is wanted or active."""
    compared: tuple[str, ...] = ()
    """Of an event: the schemas that a new one is compared with, those that were active since the
    last break that was accepted. Empty in what was written before breaks were: the present one."""
    breaking: str = ""
    """The schema of `wanted`, if it breaks readers and that was accepted."""

    @property
    def pending(self) -> bool:
        """Whether an apply has begun and not finished."""
        return self.retired or self.wanted != self.active


class CatalogState:
    """All entries and schemas. Mutable: it follows the topic."""

    def __init__(
        self,
        entries: Mapping[str, Entry] | None = None,
        schemas: Mapping[str, Schema] | None = None,
    ) -> None:
        self.entries: _Lazy[Entry] = _Lazy(self._read_entry, entries or {})
        """By name."""
        self.schemas: _Lazy[Schema] = _Lazy(_read_schema, schemas or {})
        """Schema ID to the newest text under that ID; CatalogCorruptError if it is unreadable."""

    def copy(self) -> CatalogState:
        """Return one that is not changed by what this one takes."""
        copied = CatalogState()
        copied.entries.data = dict(self.entries.data)
        copied.schemas.data = dict(self.schemas.data)
        return copied

    def fold(self, key: bytes | None, value: bytes | None, position: str) -> None:
        """Take one record of the topic. Writers' fence checks and unknown kinds are passed over.

        `position` says where it is, for errors.
        """
        kind, slash, name = (key or b"").decode(errors="replace").partition("/")
        if kind + slash == _SCHEMA:
            self.schemas.data[name] = _Record(value, position)
        elif kind + slash in (_EVENT, _CHANNEL):
            self.entries.data[name] = _Record(value, position)

    def records(self, entries: Iterable[Entry]) -> dict[str, bytes]:
        """Return the topic's records, key to value, for these entries and their schemas.

        Schemas come first, so that whoever reads in order knows them. What is there already is
        not repeated.
        """
        schemas: dict[str, bytes] = {}
        records: dict[str, bytes] = {}
        for entry in entries:
            for definition in (entry.active, entry.wanted):
                if isinstance(definition, EventDefinition):
                    schemas |= self._schema_record(definition.schema)
            kind = _CHANNEL if is_channel_name(entry.name) else _EVENT
            records[kind + entry.name] = self._entry_record(entry)
        return schemas | records

    def find_schema(self, schema_id: str) -> Schema | None:
        """Return a schema; None if it never was, or cannot be read."""
        try:
            return self.schemas[schema_id]
        except (KeyError, CatalogCorruptError):
            return None

    def _schema_record(self, schema: Schema) -> dict[str, bytes]:
        if self.find_schema(schema.id) == schema:
            return {}
        known = self.schemas.document(schema.id)
        return {_SCHEMA + schema.id: _to_json(known | {"schema": json.loads(schema.text)})}

    def _entry_record(self, entry: Entry) -> bytes:
        known = self.entries.document(entry.name)
        latest = known.get("wanted") or known.get("active")
        finished = entry.wanted == entry.active
        document = {
            "project": entry.project,
            "wanted": _overlay(latest, entry.wanted and entry.wanted.to_json()),
            "active": _overlay(
                latest if finished else known.get("active"),
                entry.active and entry.active.to_json(),
            ),
            "schema_ids": entry.schema_ids,
            "compared": entry.compared,
            "breaking": entry.breaking,
            "topic_ids": entry.topic_ids,
            "retired": entry.retired,
            "feeding": _overlay(known.get("feeding"), entry.feeding and asdict(entry.feeding)),
        }
        return _to_json(known | document)

    def _read_entry(self, name: str, record: _Record) -> Entry:
        try:
            document = record.document()
            feeding = document.get("feeding")
            return Entry(
                name=name,
                project=document["project"],
                wanted=self._read_definition(name, document["wanted"]),
                active=self._read_definition(name, document["active"]),
                schema_ids=tuple(document["schema_ids"]),
                compared=tuple(document.get("compared", ())),
                breaking=document.get("breaking", ""),
                topic_ids=tuple(document["topic_ids"]),
                feeding=_read_feeding(feeding) if feeding is not None else None,
                retired=bool(document.get("retired")),
            )
        except Exception as error:  # noqa: BLE001 - whatever other software wrote
            reason = record.explain(error, f"apply the definition of {name} again")
            return Entry(name, wanted=None, active=None, unreadable=reason, **record.salvage())

    def _read_definition(self, name: str, document: dict[str, Any] | None) -> Definition | None:
        if document is None:
            return None
        if is_channel_name(name):
            return ChannelDefinition.from_json(document)
        schema = self.find_schema(document["schema_id"])
        if schema is None:
            raise CatalogCorruptError(f"its schema {document['schema_id']} cannot be read")
        return EventDefinition.from_json(document, schema)


class _Record:
    """A record of the topic, and what was read from it."""

    __slots__ = ("_position", "_value", "read")

    def __init__(self, value: bytes | None, position: str, read: Any = None) -> None:
        self._value = value
        self._position = position
        self.read = read

    def document(self) -> dict[str, Any]:
        """Return the whole document, unknown keys included; raises whatever is wrong."""
        document: dict[str, Any] = json.loads(self._value or b"")
        if document["version"] > _VERSION:
            raise _NewerVersion
        return document

    def explain(self, error: Exception, repair: str) -> str:
        """Say why the record cannot be read and what to do."""
        if isinstance(error, _NewerVersion):
            return (
                f"catalog record {self._position} was written by a newer version; upgrade "
                f"platform-events here, or {repair} to write the record in this version's form"
            )
        reason = str(error) if isinstance(error, CatalogCorruptError) else repr(error)
        return f"catalog record {self._position} cannot be read ({reason:.300}); {repair}"

    def salvage(self) -> dict[str, Any]:
        """Return what can be told of an entry whose record cannot be read as a whole."""
        try:
            document = json.loads(self._value or b"")
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            document = {}
        project = document.get("project")
        return {
            "project": project if isinstance(project, str) else "",
            **{key: _texts(document.get(key)) for key in ("schema_ids", "topic_ids")},
        }


class _NewerVersion(Exception):  # noqa: N818 - always caught here
    """A record was written by a newer version."""


class _Lazy(UserDict[str, _T], Generic[_T]):
    """A mapping whose values are read from their records when they are first asked for."""

    data: dict[str, Any]
    """The records."""

    def __init__(self, read: Callable[[str, _Record], _T], given: Mapping[str, _T]) -> None:
        self._read = read
        super().__init__(given)

    def __getitem__(self, key: str) -> _T:
        record: _Record = self.data[key]
        if record.read is None:
            record.read = self._read(key, record)
        found: _T = record.read
        return found

    def __setitem__(self, key: str, value: _T) -> None:
        self.data[key] = _Record(None, "", value)

    def document(self, key: str) -> dict[str, Any]:
        """Return the document that a value was read from, empty if there is none to read."""
        try:
            record: _Record = self.data[key]
            return record.document()
        except Exception:  # noqa: BLE001 - it is written again as a whole
            return {}


def _read_schema(schema_id: str, record: _Record) -> Schema:
    try:
        return Schema.from_catalog(schema_id, record.document()["schema"])
    except Exception as error:
        repair = "apply the definition again that has this schema"
        raise CatalogCorruptError(f"schema {schema_id}: {record.explain(error, repair)}") from error


def _read_feeding(document: dict[str, Any]) -> Feeding:
    known = [item.name for item in fields(Feed)]
    feeds = [
        Feed(**{key: feed[key] for key in known} | {"starts": tuple(feed["starts"])})
        for feed in document["feeds"]
    ]
    return Feeding(document["number"], tuple(feeds))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(filter(lambda one: isinstance(one, str), value if isinstance(value, list) else ()))


def _overlay(known: Any, written: Any) -> Any:
    """Return what is written, with the keys that only the catalog's document of it has.

    Items of lists are the same if they are of the same event.
    """
    if isinstance(known, dict) and isinstance(written, dict):
        return known | {key: _overlay(known.get(key), part) for key, part in written.items()}
    if isinstance(known, list) and isinstance(written, list | tuple):
        items = {item.get("event"): item for item in known if isinstance(item, dict)}
        return [
            _overlay(items.get(part["event"]), part) if isinstance(part, dict) else part
            for part in written
        ]
    return written


def _to_json(document: dict[str, Any]) -> bytes:
    # Text as it is: escaped it could outgrow what a record may have.
    return json.dumps(
        document | {"version": _VERSION}, separators=(",", ":"), ensure_ascii=False
    ).encode()
