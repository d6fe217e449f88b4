"""Lines of input as what is published: payloads, or events as `subscribe` prints them."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

from platform_events.bus.values import EventMessage
from platform_events.cli.terminal.failures import InvalidJsonError, LineTooLongError
from platform_events.cli.terminal.input import MAX_LINE
from platform_events.errors import PayloadError, PlatformEventsError
from platform_events.payloads.json_values import compile_from_json
from platform_events.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.definitions.model import EventDefinition


class RefusedLineError(Exception):
    """A line cannot be published."""

    def __init__(self, error: PlatformEventsError, event_id: str | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.event_id = event_id
        """The one that the line gives, if it could be read."""


class LineReader:
    """Reads lines as payloads of one event, or as `subscribe` prints its events."""

    def __init__(self, *, envelope: bool) -> None:
        self._envelope = envelope
        self._definition: EventDefinition | None = None
        self._convert: Callable[[Any], Any] = lambda document: document

    def use(self, definition: EventDefinition) -> None:
        """Read what follows as payloads of this definition."""
        if self._definition is not definition:
            self._convert = compile_from_json(definition.schema.parsed)
            self._definition = definition

    def read(self, line: bytes | None) -> EventMessage:
        """Return what a line says; None stands for a line that is too long.

        Raises:
            RefusedLineError: it cannot be published.
        """
        event_id: str | None = None
        try:
            document = _read_document(line)
            if not self._envelope:
                return EventMessage(self._convert(document))
            if isinstance(document.get("event_id"), str):
                event_id = document["event_id"]
            self._check_envelope(document)
            headers = _read_headers(document.get("headers") or {})
            return EventMessage(self._convert(document["payload"]), event_id, headers)
        except (LineTooLongError, InvalidJsonError, PayloadError) as error:
            raise RefusedLineError(error, event_id) from error

    def _check_envelope(self, document: dict[str, Any]) -> None:
        """Refuse a line that is something else than `subscribe` prints for this event."""
        assert self._definition is not None
        if not isinstance(document.get("event_id"), str):
            raise PayloadError("event_id", "expected text; --envelope takes subscribe's output")
        name = document.get("type")
        if name != self._definition.name:
            raise PayloadError(
                "type", f"the line is of {name!r:.100}, published is {self._definition.name}"
            )
        if not isinstance(document.get("payload"), dict):
            raise PayloadError("payload", "expected a JSON object")


def _read_document(line: bytes | None) -> dict[str, Any]:
    if line is None:
        raise LineTooLongError(
            f"the line has more than {MAX_LINE:,} bytes; publish a reference to the data instead"
        )
    document = _parse(line)
    if not isinstance(document, dict):
        kind = "an array" if isinstance(document, list) else "a single value"
        raise PayloadError("", f"a line must be a JSON object, not {kind}")
    return document


def _read_headers(document: Any) -> dict[str, str | bytes | None]:
    if not isinstance(document, dict):
        raise PayloadError("headers", "expected a JSON object")
    headers: dict[str, str | bytes | None] = {}
    for name, value in document.items():
        try:
            headers[name] = _header_value(value)
        except ValueError as error:
            raise PayloadError(f"headers.{name}", str(error)) from None
    return headers


def _header_value(value: Any) -> str | bytes | None:
    """Return the header's value: text, bytes that are not UTF-8, or None.

    Raises:
        ValueError: it is of neither form.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value.encode()
        return value
    if isinstance(value, dict) and value.keys() == {"base64"} and isinstance(value["base64"], str):
        return base64.b64decode(value["base64"], validate=True)
    raise ValueError('it must be text, {"base64": text} or null')


def _parse(line: bytes) -> Any:
    try:
        return _DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise InvalidJsonError(f"not UTF-8 at byte {error.start + 1} of the line") from None
    except json.JSONDecodeError as error:
        raise InvalidJsonError(f"not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise InvalidJsonError("nested too deeply") from None
    except ValueError:
        # Python's limit for whole numbers, thousands of digits beyond any field's.
        raise InvalidJsonError("a number has too many digits") from None


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidJsonError(f'{name} is not JSON; write it as text: "{name}"')


def _parse_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidJsonError(f"the number {text[:40]} does not fit a 64-bit float")
    return number


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise InvalidJsonError(f"the key {shown(counts.most_common(1)[0][0])} is repeated")
    return document


_DECODER = json.JSONDecoder(
    object_pairs_hook=_read_object, parse_constant=_refuse_constant, parse_float=_parse_float
)
