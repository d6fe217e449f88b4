"""Reading a stream and printing its events as they come."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from platform_events.cli.events.newest import read_newest
from platform_events.cli.events.selection import Selection
from platform_events.cli.events.writer import EventWriter
from platform_events.cli.terminal.failures import UndecodableError
from platform_events.cli.terminal.interruption import signals
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import pretty_json, print_lines, reader_is_gone
from platform_events.errors import UndecodableRecordError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from platform_events.bus.bus import EventBus
    from platform_events.bus.event import Event
    from platform_events.bus.starts import OnExpired, StartPoint
    from platform_events.bus.subscription import OnUndecodable
    from platform_events.bus.values import Start
    from platform_events.catalog.live import Catalog
    from platform_events.replay import ReplayId

_BATCH = 500
_SLICE = 0.5
"""Seconds of waiting between two looks at whether anybody still reads stdout."""


class EventPrinter:
    """Prints those of a stream's events that pass an expression, up to a number of them.

    Raises:
        WrongFilterError: the expression is no filter for the stream.
        PlatformEventsError: the stream is unknown, or the catalog cannot be read.
    """

    def __init__(
        self,
        catalog: Catalog,
        stream: str,
        expression: str | None,
        limit: int | None,
        *,
        pretty: bool,
    ) -> None:
        self._writer = EventWriter(catalog)
        self._selection = None if expression is None else Selection(expression, stream, catalog)
        self._pretty = pretty
        self.left = limit
        """How many more may be printed; None: any number."""
        self.printed = 0
        """How many were printed."""

    def print(self, events: Iterable[Event[dict[str, Any]]]) -> int:
        """Print the events that pass and return how many; raises as `print_lines` does."""
        if self._selection is not None:
            events = filter(self._selection.passes, events)
        chosen = list(events)[: self.left]
        if self._pretty:
            print_lines(pretty_json(self._writer.document(event)) for event in chosen)
        else:
            print_lines(map(self._writer.line, chosen))
        if self.left is not None:
            self.left -= len(chosen)
        self.printed += len(chosen)
        return len(chosen)


class Reading:
    """Reads one stream and has its events printed."""

    def __init__(
        self,
        bus: EventBus,
        stream: str,
        printer: EventPrinter,
        timeout: float | None,
        on_expired: OnExpired,
        on_undecodable: OnUndecodable,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._printer = printer
        self._timeout = timeout
        self._on_expired = on_expired
        self._on_undecodable = on_undecodable
        self._gave_up = False
        self.is_following = False
        """Whether it is waiting for what comes, so that a signal ends it as it should."""

    def run(
        self,
        start: Start | datetime | ReplayId | None,
        last: int | None,
        until: datetime | ReplayId | None,
        *,
        follow: bool,
    ) -> None:
        """Print from `start`, or the `last` events and what follows, up to an end.

        Raises:
            UndecodableError: a record cannot be decoded, and is not to be skipped.
            PlatformEventsError: as `EventBus.subscribe` and its subscriptions.
        """
        begin: StartPoint = start
        try:
            if last is not None:
                newest, begin = read_newest(self._bus, self._stream, last, self._on_undecodable)
                with signals.deferred():
                    self._printer.print(newest)
            if follow and isinstance(until, datetime) and until > datetime.now(UTC):
                begin = self._read(begin, None, follow=True, before=until)
            if not self._has_enough:
                self._read(begin, until, follow=follow)
            if until is not None and self._printer.printed == 0:
                note("no event was there to print up to this end")
        except UndecodableRecordError as error:
            raise UndecodableError(
                f"{error}; --on-undecodable skip passes such records over"
            ) from error

    def _read(
        self, start: StartPoint, until: StartPoint, *, follow: bool, before: datetime | None = None
    ) -> ReplayId:
        """Print events to the end, or while it is not yet `before`; return the position."""
        with self._bus.subscribe(
            self._stream, start, follow, self._on_expired, self._on_undecodable, until=until
        ) as subscription:
            self.is_following = follow and until is None
            position = subscription.position
            heard = time.monotonic()
            while not (subscription.ended or self._has_enough):
                if before is not None and datetime.now(UTC) >= before:
                    break
                with signals.deferred():
                    events = due = subscription.take(_BATCH, self._patience(heard))
                    if before is not None:
                        due = list(takewhile(partial(_was_before, before), events))
                    # Within the block too, so that a signal cuts no line.
                    printed = self._printer.print(due)
                if due:
                    position = due[-1].replay_id
                if len(due) < len(events):
                    break
                if printed:
                    heard = time.monotonic()
                else:
                    self._consider(heard)
            return position

    @property
    def _has_enough(self) -> bool:
        return self._gave_up or self._printer.left == 0

    def _patience(self, heard: float) -> float:
        """Return for how long to wait now, when something was printed last at `heard`."""
        if self._timeout is None:
            return _SLICE
        return max(min(_SLICE, heard + self._timeout - time.monotonic()), 0)

    def _consider(self, heard: float) -> None:
        """Give up if nothing was printed for too long or nobody reads it."""
        if self._timeout is not None and time.monotonic() - heard >= self._timeout:
            note(f"no event for {self._timeout:g} seconds")
            self._gave_up = True
        self._gave_up = self._gave_up or reader_is_gone()


def _was_before(moment: datetime, event: Event[dict[str, Any]]) -> bool:
    return event.published_at < moment
