"""Judging events by filters: events of the broker, or lines of input."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from platform_events.cli.events.newest import read_newest
from platform_events.cli.events.reader import LineReader, RefusedLineError
from platform_events.cli.terminal.failures import WrongFilterError
from platform_events.cli.terminal.input import read_lines
from platform_events.definitions.schema import CREATED_BY, CREATED_DATE
from platform_events.errors import DefinitionsError, PayloadError, Problem, UsageError
from platform_events.filters import FilterError, check_filter, explain, parse_filter
from platform_events.filters.binding import bind
from platform_events.names import is_channel_name, stream_name
from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder
from platform_events.payloads.json_values import compile_from_json
from platform_events.payloads.types import parse_record
from platform_events.wording import suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from platform_events.bus.bus import EventBus
    from platform_events.bus.event import Event
    from platform_events.catalog.live import Catalog
    from platform_events.definitions import model
    from platform_events.definitions.schema import Schema
    from platform_events.filters import Expression

Verdict: TypeAlias = "dict[str, Any]"
"""What is printed of one event or line, but for its index."""

_Definition = TypeVar("_Definition")
_ENVELOPE = frozenset({"stream", "event_id", "type", "payload"})
"""Keys that tell a line of `subscribe` from a payload."""


class Definitions(Protocol):
    """Where definitions come from: the catalog or files."""

    def event(self, name: str) -> model.EventDefinition:
        """Return an event's definition; raises a `PlatformEventsError` if there is none."""

    def channel(self, name: str) -> model.ChannelDefinition:
        """Return a channel's definition; raises a `PlatformEventsError` if there is none."""


class FileDefinitions:
    """Definitions of files."""

    def __init__(self, place: str, loaded: model.Definitions) -> None:
        self._place = place
        self._loaded = loaded

    def event(self, name: str) -> model.EventDefinition:
        """Return an event's definition; raises `UsageError` if no file has it."""
        return self._find(name, self._loaded.events)

    def channel(self, name: str) -> model.ChannelDefinition:
        """Return a channel's definition; raises `UsageError` if no file has it."""
        return self._find(name, self._loaded.channels)

    def _find(self, name: str, known: Mapping[str, _Definition]) -> _Definition:
        if name not in known:
            raise UsageError(f"{self._place} does not define {name}{suggest(name, known)}")
        return known[name]


class Judge:
    """Judges events of some definitions, each by its own filter."""

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}

    @property
    def names(self) -> list[str]:
        """The events that can be judged."""
        return list(self._members)

    def add(self, definition: model.EventDefinition, text: str) -> None:
        """Judge events of a definition by a filter; an empty text lets all pass.

        Raises:
            FilterError: the filter is none, or none for this event.
        """
        self._members[definition.name] = _Member(definition.schema, text)

    def event(self, event: Event[dict[str, Any]], catalog: Catalog) -> Verdict:
        """Judge an event as it was stored, by the schema that wrote it."""
        name = stream_name(event.stream)
        expression = self._members[name].bound(event.schema_id, catalog)
        return _verdict(expression, event.payload, name, event.event_id)

    def lines(self, descriptor: int) -> Iterator[Verdict]:
        """Judge the lines of an input: payloads, or what `subscribe` prints."""
        reader = LineReader(envelope=False)
        for lines, _ in read_lines(descriptor):
            for line in lines:
                if line is not None and not line.strip():
                    continue
                try:
                    yield self._line(reader.read(line).payload)
                except RefusedLineError as refused:
                    yield _refuse(refused.error.code, str(refused.error))
                except PayloadError as error:
                    yield _refuse(error.code, str(error))

    def _line(self, document: dict[str, Any]) -> Verdict:
        if document.keys() >= _ENVELOPE:
            name, payload, event_id = document["type"], document["payload"], document["event_id"]
            if not isinstance(name, str) or name not in self._members:
                raise PayloadError("type", f"{name!r:.100} is not tested: {', '.join(self.names)}")
            if not isinstance(payload, dict):
                raise PayloadError("payload", "expected a JSON object")
            member = self._members[name]
            # An older schema may have had fields that this one lacks; no filter asks for them.
            payload = {key: value for key, value in payload.items() if key in member.fields}
            return _verdict(member.expression, member.read(payload), name, event_id)
        if len(self._members) > 1:
            raise PayloadError(
                "", f"a payload does not say of which event it is: give --event {self.names[0]}"
            )
        (name,) = self._members
        member = self._members[name]
        return _verdict(member.expression, member.read(document), name, None)


class _Member:
    """One event, its filter, and how its payloads are read from JSON."""

    def __init__(self, schema: Schema, text: str) -> None:
        self._parsed = parse_filter(text) if text else None
        self.expression = check_filter(text, schema) if text else None
        record = parse_record(schema.parsed)
        self.fields = frozenset(item.name for item in record.fields)
        self._convert = compile_from_json(record)
        self._encoder = PayloadEncoder(schema.parsed)
        self._decoder = PayloadDecoder(schema.parsed)
        self._bound: dict[str, Expression | None] = {}

    def read(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return a payload as it would be after publishing: checked, with system fields, defaults.

        Raises:
            PayloadError: it does not fit the schema.
        """
        now_ms = int(time.time() * 1000)
        payload = {CREATED_DATE: now_ms, CREATED_BY: "", **self._convert(document)}
        return self._decoder.decode(self._encoder.encode(payload))

    def bound(self, schema_id: str, catalog: Catalog) -> Expression | None:
        """Return the filter for events that a schema wrote, as the router judges them."""
        if schema_id not in self._bound:
            record = parse_record(catalog.schema(schema_id).parsed)
            self._bound[schema_id] = self._parsed and bind(self._parsed, record, strict=False)
        return self._bound[schema_id]


def make_judge(target: str, event: str | None, definitions: Definitions) -> Judge:
    """Return what judges events by a channel's filters, or by an expression.

    Args:
        target: the channel's name, or the expression.
        event: the one that the expression is for; of a channel only this member.
        definitions: of the channel and the events.

    Raises:
        WrongFilterError: the expression is no filter for the event.
        DefinitionsError: a filter of the channel is none.
        UsageError: the event is missing, or no member.
        PlatformEventsError: an event or the channel is not defined.
    """
    name = target.removeprefix("/event/")
    if is_channel_name(name):
        filters = {member.event: member.filter for member in definitions.channel(name).members}
        if event is not None:
            only = stream_name(event)
            if only not in filters:
                raise UsageError(f"{only} is no member of {name}: {', '.join(filters)}")
            filters = {only: filters[only]}
    elif event is None:
        raise UsageError("--event is missing: the name of the event that the expression is for")
    else:
        filters = {stream_name(event): target}
    judge = Judge()
    for member, text in filters.items():
        try:
            judge.add(definitions.event(member), text)
        except FilterError as error:
            if text is target:
                raise WrongFilterError(error, text) from error
            raise DefinitionsError(
                [Problem(name, f"the filter of {member}: {error}", excerpt=error.excerpt(text))]
            ) from error
    return judge


def recent_events(
    bus: EventBus, names: Iterable[str], count: int
) -> Iterator[Event[dict[str, Any]]]:
    """Yield the newest events of each stream, the oldest of them first."""
    found = [event for name in names for event in read_newest(bus, name, count, "skip")[0]]
    yield from sorted(found, key=lambda event: event.published_at)


def _verdict(
    expression: Expression | None, payload: Mapping[str, Any], name: str, event_id: Any
) -> Verdict:
    reasons = [] if expression is None else explain(expression, payload)
    known = {"event_id": event_id} if isinstance(event_id, str) else {}
    return {"type": name, **known, "passes": not reasons, "reasons": reasons}


def _refuse(code: str, message: str) -> Verdict:
    return {"error": {"code": code, "message": message}}
