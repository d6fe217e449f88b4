"""Selecting the events of a stream by an expression, whatever types and schemas they have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from platform_events.cli.terminal.failures import WrongFilterError
from platform_events.cli.terminal.messages import note
from platform_events.definitions.model import ChannelDefinition
from platform_events.filters import (
    FilterError,
    UnknownFieldError,
    check_filter,
    evaluate,
    parse_filter,
)
from platform_events.filters.binding import bind
from platform_events.names import stream_name
from platform_events.payloads.types import parse_record

if TYPE_CHECKING:
    from platform_events.bus.event import Event
    from platform_events.catalog.live import Catalog
    from platform_events.definitions.schema import Schema
    from platform_events.filters import Expression


class Selection:
    """Which events pass an expression; it is bound to the schema that wrote each.

    Types that lack a field that it names, or have another kind of it, do not pass. In older events
    of a type that has it now, the field is null.

    Raises:
        WrongFilterError: the expression is no filter, or none for any type of the stream.
        PlatformEventsError: the stream is unknown, or the catalog cannot be read.
    """

    def __init__(self, text: str, stream: str, catalog: Catalog) -> None:
        self._text = text
        self._catalog = catalog
        self._bound: dict[tuple[str, str], Expression | None] = {}
        try:
            self._parsed = parse_filter(text)
            self._types = self._types_that_fit(stream)
        except FilterError as error:
            raise WrongFilterError(error, text) from error

    def passes(self, event: Event[dict[str, Any]]) -> bool:
        """Whether an event of the stream passes."""
        key = event.type, event.schema_id
        if key not in self._bound:
            self._bound[key] = self._bind(*key, self._catalog.schema(event.schema_id))
        expression = self._bound[key]
        return expression is not None and evaluate(expression, event.payload) is True

    def _types_that_fit(self, stream: str) -> dict[str, bool]:
        """Return of each type of the stream whether the filter is one for it."""
        active = self._catalog.entry(stream_name(stream)).active
        if isinstance(active, ChannelDefinition):
            names = [member.event for member in active.members]
        else:
            names = [stream_name(stream)]
        found: dict[str, bool] = {}
        misfit: FilterError | None = None
        for name in names:
            try:
                check_filter(self._text, self._catalog.event(name).schema)
            except FilterError as error:
                misfit = misfit or error
                found[name] = False
            else:
                found[name] = True
        if misfit is not None and not any(found.values()):
            raise misfit
        return found

    def _bind(self, name: str, schema_id: str, writer: Schema) -> Expression | None:
        has_fields = self._types.get(name)
        if has_fields is False:
            return None
        try:
            # Of a type that the stream had once, the schema itself has to have the fields.
            return bind(self._parsed, parse_record(writer.parsed), strict=has_fields is None)
        except UnknownFieldError:
            return None
        except FilterError as error:
            note(f"{name} with schema {schema_id} does not pass: {error}")
            return None
