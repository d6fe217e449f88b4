"""Events as lines of JSON: what `subscribe` prints and `publish --envelope` reads."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from platform_events.cli.terminal.output import json_line
from platform_events.payloads.json_values import compile_to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.bus.values import Event
    from platform_events.catalog.live import Catalog


class EventWriter:
    """Makes lines of events, whatever schemas they were written with."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._converters: dict[str, Callable[[dict[str, Any]], Any]] = {}

    def line(self, event: Event[dict[str, Any]]) -> str:
        """Return one event as one line, without its end."""
        convert = self._converters.get(event.schema_id)
        if convert is None:
            convert = compile_to_json(self._catalog.schema(event.schema_id).parsed)
            self._converters[event.schema_id] = convert
        published_at = event.published_at.replace(tzinfo=None)
        document: dict[str, Any] = {
            "stream": event.stream,
            "replay_id": str(event.replay_id),
            "event_id": event.event_id,
            "type": event.type,
            "schema_id": event.schema_id,
            "published_at": published_at.isoformat(timespec="milliseconds") + "Z",
            "headers": {name: header_to_json(value) for name, value in event.headers.items()},
            "payload": convert(event.payload),
        }
        if event.origin is not None:
            document["origin"] = {
                "stream": event.origin.stream,
                "replay_id": str(event.origin.replay_id),
            }
        return json_line(document)


def header_to_json(value: bytes) -> str | dict[str, str]:
    """Return a header's value as text where it is UTF-8, else `{"base64": ...}`."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def header_from_json(value: Any) -> str | bytes:
    """Return what `header_to_json` made this of.

    Raises:
        ValueError: it is of neither form.
    """
    if isinstance(value, str):
        value.encode()
        return value
    if isinstance(value, dict) and value.keys() == {"base64"} and isinstance(value["base64"], str):
        return base64.b64decode(value["base64"], validate=True)
    raise ValueError('it must be text or {"base64": text}')
