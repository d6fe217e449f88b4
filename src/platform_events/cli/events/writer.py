"""Events as lines of JSON, as `subscribe` prints them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from platform_events.cli.terminal.output import iso_time, json_line
from platform_events.payloads.json_values import compile_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.bus.event import Event
    from platform_events.catalog.live import Catalog


class EventWriter:
    """Makes lines of events, whatever schemas they were written with."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._converters: dict[str, Callable[[dict[str, Any]], Any]] = {}

    def line(self, event: Event[dict[str, Any]]) -> str:
        """Return one event as one line, without its end."""
        return json_line(self.document(event))

    def document(self, event: Event[dict[str, Any]]) -> dict[str, Any]:
        """Return one event as JSON."""
        convert = self._converters.get(event.schema_id)
        if convert is None:
            convert = compile_to_json(self._catalog.schema(event.schema_id).parsed)
            self._converters[event.schema_id] = convert
        document: dict[str, Any] = {
            "stream": event.stream,
            "replay_id": str(event.replay_id),
            "event_id": event.event_id,
            "type": event.type,
            "schema_id": event.schema_id,
            "published_at": iso_time(event.published_at),
            "headers": {name: header_text(value) for name, value in event.headers.items()},
            "payload": convert(event.payload),
        }
        if event.origin is not None:
            document["origin"] = {
                "stream": event.origin.stream,
                "replay_id": str(event.origin.replay_id),
            }
        return document


def header_text(value: bytes | None) -> str | dict[str, str] | None:
    """Return a header's value as text where it is UTF-8, else `{"base64": ...}`; null for none."""
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
