"""Dead letters as a table for people, one as text, and as JSON."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from platform_events.bus.event import EPOCH
from platform_events.cli.events.writer import EventWriter, header_text
from platform_events.cli.terminal.failures import one_line
from platform_events.cli.terminal.output import (
    iso_time,
    pretty_json,
    print_facts,
    print_line,
    print_lines,
    print_table,
)
from platform_events.wording import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from platform_events.catalog.live import Catalog
    from platform_events.workers.dead_letter import Letter
    from platform_events.workers.letter_view import ShownLetter, ShownStatus

_COLUMNS = ["ID", "STATUS", "REASON", "TYPE", "ATTEMPTS", "LAST FAILURE", "MESSAGE"]
_NUMBERS = (4,)
_NOTHING = "-"


class LetterWriter:
    """Makes JSON of dead letters."""

    def __init__(self, catalog: Catalog) -> None:
        self._events = EventWriter(catalog)

    def document(self, shown: ShownLetter) -> dict[str, Any]:
        """Return one dead letter as JSON."""
        letter = shown.letter
        return {
            "id": letter.id,
            "subscription": shown.owner,
            "reason": letter.reason,
            "message": letter.message,
            "traceback": letter.traceback,
            "attempts": letter.attempts,
            "first_failure": _time(letter.first_failure_ms),
            "last_failure": _time(letter.last_failure_ms),
            "origin": {"stream": shown.stream, "replay_id": letter.replay_id},
            "event": self._event(shown),
            "status": shown.status,
        }

    def _event(self, shown: ShownLetter) -> dict[str, Any]:
        """Return the event as `subscribe` prints it; its bytes if it cannot be decoded."""
        if shown.event is not None:
            return self._events.document(shown.event)
        letter = shown.letter
        return {
            "stream": shown.stream,
            "replay_id": letter.replay_id,
            "event_id": letter.event_id,
            "type": letter.type,
            "schema_id": letter.schema_id,
            "published_at": _time(letter.stored_ms),
            "headers": {name: header_text(value) for name, value in shown.headers.items()},
            "payload": None,
            "raw_base64": None if shown.body is None else base64.b64encode(shown.body).decode(),
        }


def print_letters(letters: Iterable[tuple[Letter, ShownStatus]]) -> None:
    """Print a table of dead letters."""
    print_table(_COLUMNS, [_row(*one) for one in letters], _NUMBERS)


def print_letter(document: dict[str, Any]) -> None:
    """Print one dead letter for people."""
    print_facts(dict(_facts(document)))
    if document["traceback"]:
        print_line("")
        print_lines(document["traceback"].splitlines())
    print_line("")
    print_line(pretty_json(document["event"]))


def _row(letter: Letter, status: ShownStatus) -> list[str]:
    return [
        letter.id,
        status,
        letter.reason,
        letter.type or _NOTHING,
        f"{letter.attempts:,}",
        _time(letter.last_failure_ms),
        cut(one_line(letter.message)),
    ]


def _facts(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in ("id", "subscription", "status", "reason"):
        yield name, document[name]
    yield "message", one_line(document["message"]) or _NOTHING
    yield "attempts", f"{document['attempts']:,}"
    yield "first failure", document["first_failure"]
    yield "last failure", document["last_failure"]
    yield "stream", document["origin"]["stream"]
    yield "replay ID", document["origin"]["replay_id"]


def _time(time_ms: int) -> str:
    return iso_time(EPOCH + timedelta(milliseconds=time_ms))
