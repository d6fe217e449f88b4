"""The handlers of a worker, by the events that they are for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from platform_events.bus.models import Models
from platform_events.definitions.model import ChannelDefinition
from platform_events.errors import UsageError
from platform_events.names import is_channel_name, is_event_name, stream_path
from platform_events.wording import listed, one_of, shown, suggest

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from platform_events.bus.event import Event
    from platform_events.catalog.state import Entry
    from platform_events.workers.signatures import HandlerSpec

OnUnhandled: TypeAlias = Literal["fail", "skip", "dead-letter"]
_logger = logging.getLogger("platform_events.worker")


class Handlers:
    """Which handler is for which event.

    Args:
        stream: name of the stream that the events are from.
        batch_size: how many events a handler may be given at a time.
        on_unhandled: what becomes of events without a handler.
    """

    def __init__(self, stream: str, batch_size: int, on_unhandled: OnUnhandled) -> None:
        self._stream = stream
        self._batch_size = batch_size
        self._on_unhandled = on_unhandled
        self._by_type: dict[str, HandlerSpec] = {}
        self._other: HandlerSpec | None = None
        """For all types that have no other."""

    def add(self, spec: HandlerSpec) -> None:
        """Have events handled by this one too.

        Raises:
            UsageError: there is one for these events, they are not in the stream, or it takes
                lists and there are none.
        """
        if spec.type is not None and not is_event_name(spec.type):
            meant = f"{spec.type}__e"
            advice = (
                f"; did you mean {meant}?"
                if is_event_name(meant)
                else ": give one, such as Order_Placed__e"
            )
            raise spec.error(f"is for {shown(spec.type)}, which is not an event's name{advice}")
        of_event = is_event_name(self._stream)
        if of_event and spec.type not in (None, self._stream):
            raise spec.error(
                f"is for {spec.type}, and {stream_path(self._stream)} has only {self._stream}: "
                "leave the type out"
            )
        if spec.takes_list and self._batch_size == 1:
            raise spec.error(
                "takes a list, and the worker gives one event at a time: give Worker a batch_size "
                "above 1, or annotate it with Event[...]"
            )
        former = self._by_type.get(spec.type) if spec.type is not None else self._other
        if of_event:
            former = next(iter(self._all()), None)
        if former is not None:
            what = spec.type or ("all types" if not of_event else self._stream)
            raise spec.error(
                f"is a second one for {what}, after {former.name} at {former.place}: keep one"
            )
        if spec.type is None:
            self._other = spec
        else:
            self._by_type[spec.type] = spec

    def find(self, type_: str) -> HandlerSpec | None:
        """Return the handler of an event's type; None if it has none."""
        return self._by_type.get(type_, self._other)

    def choose(self, event: Event[Any]) -> HandlerSpec | None:
        """Return the handler of an event; None if it has none."""
        # Most workers have one for all, and then nobody need ask for the type.
        return self.find(event.type) if self._by_type else self._other

    def models(self, events: Sequence[str]) -> Models | None:
        """Return what payloads become instances of; None: all are dicts.

        Args:
            events: those of the stream.

        Raises:
            UsageError: a union has a class that is named after none of them.
        """
        if all(spec.model is None for spec in self._all()):
            return None
        models = {type_: spec.model or dict for type_, spec in self._by_type.items()}
        other: Any = dict if self._other is None else self._other.model or dict
        has_names = isinstance(other, Mapping)
        found = Models({**other, **models}) if has_names else Models(models, other)
        if is_channel_name(self._stream):
            found.match(events)
        return found

    def check(self, worker: str) -> None:
        """Check what only shows when all handlers are known.

        Args:
            worker: its name.

        Raises:
            UsageError: there is none, or no one takes the lists that the worker is to give.
        """
        specs = self._all()
        if not specs:
            raise UsageError(f"worker {worker} has no handler: put @app.handler before a function")
        if self._batch_size > 1 and not any(spec.takes_list for spec in specs):
            raise specs[0].error(
                f"takes one event, and batch_size is {self._batch_size}: annotate its first "
                "parameter with list[Event[...]], or leave batch_size out"
            )

    def check_stream(self, entry: Entry, events: Container[str] = ()) -> None:
        """Check that the handlers fit the events of the stream.

        Args:
            entry: the stream's, in the catalog; it is active.
            events: names of all events of the tenant. A handler for one that is not in the stream
                is only warned of: a channel keeps the events of a member that was dropped.

        Raises:
            UsageError: a handler is for an event that is not in the stream; or an event has none,
                and is not to be skipped or dead-lettered.
        """
        definition = entry.active
        members = [entry.name]
        if isinstance(definition, ChannelDefinition):
            members = [member.event for member in definition.members]
        path = stream_path(entry.name)
        for type_, spec in self._by_type.items():
            if type_ in members:
                continue
            problem = f"is for {type_}, which is not a member of {path}: {one_of(members)}"
            if type_ not in events:
                raise spec.error(problem + suggest(type_, members))
            _logger.warning("%s", spec.error(problem))
        missing = [member for member in members if self.find(member) is None]
        if missing and self._on_unhandled == "fail":
            raise UsageError(
                f"{path} has {listed(missing)}, for which the worker has no handler: add "
                f'@app.handler("{missing[0]}"), or one for all with @app.handler, or give Worker '
                "on_unhandled='skip' or 'dead-letter'"
            )
        self.models(members)

    def _all(self) -> list[HandlerSpec]:
        return [*self._by_type.values(), *([self._other] if self._other else [])]
