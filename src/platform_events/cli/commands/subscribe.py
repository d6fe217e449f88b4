"""`platform-events subscribe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command, parse_seconds, parse_start, parse_until
from platform_events.cli.completion import complete_streams
from platform_events.cli.terminal.interruption import signals
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from platform_events.bus.starts import OnExpired
    from platform_events.bus.subscription import OnUndecodable
    from platform_events.bus.values import Start
    from platform_events.cli.connection import Connection
    from platform_events.replay import ReplayId


@click.command(
    cls=Command,
    examples=(
        "platform-events subscribe Order_Placed__e",
        "platform-events subscribe Order_Placed__e --from earliest --no-follow > events.ndjson",
        "platform-events subscribe Order_Placed__e --from 15m --max 10 --timeout 30",
        "platform-events subscribe Order_Placed__e --from AAAAAAAAACpd3g",
        "platform-events subscribe Order_Placed__e --last 5 --pretty",
        "platform-events subscribe Orders__chn --from 2h --until 1h --filter 'amount >= 100'",
    ),
)
@click.argument("stream", shell_complete=complete_streams)
@click.option(
    "--from",
    "start",
    type=parse_start,
    metavar="START",
    help="latest, earliest, a replay ID (the event after it comes first), a time (ISO 8601 with "
    "zone) or an age (90s, 15m, 2h, 3d). Default: latest; earliest if it does not follow.",
)
@click.option(
    "--last",
    type=click.IntRange(min=1),
    metavar="N",
    help="Begin with the last N events that are there, instead of START; then follow, unless "
    "--no-follow.",
)
@click.option(
    "--until",
    type=parse_until,
    metavar="END",
    help="Stop after the event of a replay ID, or before the first one stored at or after a time "
    "(or an age).",
)
@click.option(
    "--filter",
    "expression",
    metavar="EXPRESSION",
    help="Print only events that pass, as in a channel: amount >= 100 AND region = 'EU'. Types "
    "without a field that it names do not pass.",
)
@click.option(
    "--max", "limit", type=click.IntRange(min=1), metavar="N", help="Stop after N events."
)
@click.option("--follow/--no-follow", default=True, help="Wait for new events, or stop at the end.")
@click.option(
    "--timeout",
    type=parse_seconds,
    metavar="SECONDS",
    help="Stop when no event was printed for that long.",
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
@click.option(
    "--pretty",
    is_flag=True,
    help="Print events for people: indented, and with colours on a terminal.",
)
@click.pass_obj
def subscribe(
    connection: Connection,
    stream: str,
    start: Start | datetime | ReplayId | None,
    last: int | None,
    until: datetime | ReplayId | None,
    expression: str | None,
    limit: int | None,
    follow: bool,
    timeout: float | None,
    on_expired: OnExpired,
    on_undecodable: OnUndecodable,
    pretty: bool,
) -> int:
    """Print a stream's events as NDJSON, one line for each.

    STREAM is /event/NAME or NAME. Each line has stream, replay_id, event_id, type, schema_id,
    published_at, headers and payload. Following ends with Ctrl-C or SIGTERM; that is no failure,
    so the exit status is 0.
    """
    if last is not None and not (start is None and until is None):
        raise UsageError("--last begins at the end of the stream: give no --from and no --until")
    from platform_events.cli.events.printer import EventPrinter, Reading

    with signals.translated(), connection.bus() as bus:
        printer = EventPrinter(bus.catalog, stream, expression, limit, pretty=pretty)
        reading = Reading(bus, stream, printer, timeout, on_expired, on_undecodable)
        try:
            reading.run(start, last, until, follow=follow)
        except KeyboardInterrupt:
            if not reading.is_following:
                raise
    return 0
