"""`platform-events subscribe`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from platform_events.cli.arguments import Command, parse_seconds, parse_start
from platform_events.cli.stream_names import complete_streams
from platform_events.cli.terminal.interruption import signals
from platform_events.cli.terminal.output import note, print_lines, reader_is_gone

if TYPE_CHECKING:
    from datetime import datetime

    from platform_events.bus.bus import EventBus
    from platform_events.bus.starts import OnExpired
    from platform_events.bus.subscription import OnUndecodable, Subscription
    from platform_events.bus.values import Start
    from platform_events.cli.connection import Connection
    from platform_events.replay import ReplayId

_BATCH = 500
_SLICE = 0.5
"""Seconds of waiting between two looks at whether anybody still reads stdout."""


@click.command(
    cls=Command,
    examples=(
        "platform-events subscribe Order_Placed__e",
        "platform-events subscribe Order_Placed__e --from earliest --no-follow > events.ndjson",
        "platform-events subscribe Order_Placed__e --from 15m --max 10 --timeout 30",
        "platform-events subscribe Order_Placed__e --from AAAAAAAAACpd3g",
    ),
)
@click.argument("stream", shell_complete=complete_streams)
@click.option(
    "--from",
    "start",
    type=parse_start,
    metavar="START",
    help="latest, earliest, a replay ID (the event after it comes first), a time (ISO 8601 with "
    "zone) or an age (90s, 15m, 2h, 3d). Default: latest; with --no-follow earliest.",
)
@click.option(
    "--max", "limit", type=click.IntRange(min=1), metavar="N", help="Stop after N events."
)
@click.option("--follow/--no-follow", default=True, help="Wait for new events, or stop at the end.")
@click.option(
    "--timeout",
    type=parse_seconds,
    metavar="SECONDS",
    help="Stop when no event came for that long.",
)
@click.option(
    "--on-expired",
    type=click.Choice(["fail", "earliest", "latest"]),
    default="fail",
    show_default=True,
    help="What to do when events after START are past retention.",
)
@click.option(
    "--on-undecodable",
    type=click.Choice(["fail", "skip"]),
    default="fail",
    show_default=True,
    help="What to do with a record that cannot be decoded.",
)
@click.pass_obj
def subscribe(
    connection: Connection,
    stream: str,
    start: Start | datetime | ReplayId | None,
    limit: int | None,
    follow: bool,
    timeout: float | None,
    on_expired: OnExpired,
    on_undecodable: OnUndecodable,
) -> int:
    """Print a stream's events as NDJSON, one line for each.

    STREAM is /event/NAME or NAME. Each line has stream, replay_id, event_id, type, schema_id,
    published_at, headers and payload. Following ends with Ctrl-C or SIGTERM; that is no failure,
    so the exit status is 0.
    """
    try:
        with (
            signals.translated(),
            connection.bus() as bus,
            bus.subscribe(stream, start, follow, on_expired, on_undecodable) as subscription,
        ):
            _print_events(bus, subscription, limit, timeout)
    except KeyboardInterrupt:
        if not follow:
            raise
    return 0


def _print_events(
    bus: EventBus,
    subscription: Subscription[dict[str, Any]],
    limit: int | None,
    timeout: float | None,
) -> None:
    from platform_events.cli.events.writer import EventWriter
    from platform_events.cli.terminal.failures import UndecodableError
    from platform_events.errors import UndecodableRecordError

    writer = EventWriter(bus.catalog)
    left = limit
    last = time.monotonic()
    while not subscription.ended and left != 0:
        wait = _SLICE if timeout is None else min(_SLICE, last + timeout - time.monotonic())
        try:
            with signals.deferred():
                size = _BATCH if left is None else min(_BATCH, left)
                events = subscription.take(size, max(wait, 0))
                # Within the block too, so that a signal cuts no line.
                print_lines(map(writer.line, events))
        except UndecodableRecordError as error:
            raise UndecodableError(
                f"{error}; --on-undecodable skip passes such records over"
            ) from error
        if events:
            last = time.monotonic()
            left = None if left is None else left - len(events)
        elif timeout is not None and time.monotonic() - last >= timeout:
            note(f"no event for {timeout:g} seconds")
            return
        elif reader_is_gone():
            return
