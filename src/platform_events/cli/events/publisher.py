"""Publishing lines in chunks: results in order, and a result for everything at a signal."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from platform_events.cli.events.reader import LineReader, RefusedLineError
from platform_events.cli.terminal.input import read_lines
from platform_events.cli.terminal.interruption import signals
from platform_events.cli.terminal.output import json_line, print_lines
from platform_events.errors import ClosedError

if TYPE_CHECKING:
    from platform_events.bus.bus import EventBus
    from platform_events.bus.values import EventMessage
    from platform_events.cli.terminal.progress import ByteProgress
    from platform_events.errors import PlatformEventsError
    from platform_events.replay import ReplayId

_BATCH = 10_000
"""Events published together at most, for bounded memory where lines are short."""
CLOSE_WITHIN = 2.0
"""Seconds that a signal waits for events on their way before they become UNKNOWN."""


class LinePublisher:
    """Publishes the lines of one input to one event.

    Raises:
        UnknownStreamError, UsageError, BrokerError: before anything is read.
    """

    def __init__(
        self, bus: EventBus, event: str, headers: dict[str, str], *, envelope: bool
    ) -> None:
        # Without payloads it only checks the event and the headers.
        bus.publish_many(event, [], headers=headers)
        self._bus = bus
        self._event = event
        self._name = event.removeprefix("/event/")
        self._headers = headers
        self._reader = LineReader(envelope=envelope)
        self.begun = 0
        """How many lines have their result printed; the index of the next."""
        self.unanswered = 0
        """How many lines after them were being published when a second signal came."""
        self.counts: Counter[str] = Counter()
        """How often each status was printed."""
        self.interrupt: KeyboardInterrupt | None = None
        """What ended it before the end of the input."""

    def run(self, descriptor: int, progress: ByteProgress) -> None:
        """Publish everything there is to read, until its end or a signal.

        Raises:
            UnknownStreamError, BrokerError: the event cannot be published any more.
        """
        try:
            for lines, size in read_lines(descriptor):
                payloads = [line for line in lines if line is None or line.strip()]
                for first in range(0, len(payloads), _BATCH):
                    self._publish(payloads[first : first + _BATCH])
                progress.advance(size, self.begun)
        except KeyboardInterrupt as interrupt:
            self.interrupt = interrupt

    def _publish(self, lines: list[bytes | None]) -> None:
        self._reader.use(self._bus.catalog.event(self._name))
        messages: list[EventMessage] = []
        outcomes: list[dict[str, Any] | None] = []
        for line in lines:
            try:
                messages.append(self._reader.read(line))
                outcomes.append(None)
            except RefusedLineError as refusal:
                outcomes.append(_outcome("NOT_PERSISTED", refusal.event_id, None, refusal.error))
        with signals.translated(), signals.deferred(self._close_bus):
            self.unanswered = len(lines)
            sent = iter(self._send(messages))
            results = [
                {"index": index, **(outcome or next(sent))}
                for index, outcome in enumerate(outcomes, self.begun)
            ]
            print_lines(map(json_line, results))
            self.counts.update(result["status"] for result in results)
            self.begun += len(lines)
            self.unanswered = 0

    def _close_bus(self) -> None:
        """Give what is on its way its result; the main thread waits for it in publish_many."""
        threading.Thread(target=self._bus.close, daemon=True).start()

    def _send(self, messages: list[EventMessage]) -> list[dict[str, Any]]:
        try:
            results = self._bus.publish_many(self._event, messages, headers=self._headers)
        except ClosedError as error:
            # A signal came just before.
            return [
                _outcome("NOT_PERSISTED", message.event_id, None, error) for message in messages
            ]
        return [
            _outcome(result.status.value, result.event_id, result.replay_id, result.error)
            for result in results
        ]


def _outcome(
    status: str,
    event_id: str | None,
    replay_id: ReplayId | None,
    error: PlatformEventsError | None,
) -> dict[str, Any]:
    outcome: dict[str, Any] = {
        "status": status,
        "event_id": event_id,
        "replay_id": None if replay_id is None else str(replay_id),
    }
    if error is not None:
        outcome["error"] = {"code": error.code, "message": str(error)}
    return outcome
