"""`platform-events publish`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command, input_file, parse_header
from platform_events.cli.completion import complete_events
from platform_events.cli.terminal.failures import FAILED, InterruptedPublishError, report_failure
from platform_events.cli.terminal.input import open_input
from platform_events.cli.terminal.interruption import exit_status
from platform_events.cli.terminal.messages import note
from platform_events.errors import PlatformEventsError

if TYPE_CHECKING:
    from platform_events.cli.connection import Connection
    from platform_events.cli.events.publisher import LinePublisher


@click.command(
    cls=Command,
    examples=(
        "platform-events publish Order_Placed__e orders.ndjson > results.ndjson",
        """echo '{"order_id": "A-1", "amount": 12.5}' | platform-events publish Order_Placed__e""",
        "platform-events subscribe Order_Placed__e --no-follow \\",
        "  | platform-events --tenant copy publish Order_Placed__e --envelope",
    ),
)
@click.argument("event", shell_complete=complete_events)
@input_file
@click.option(
    "--envelope",
    is_flag=True,
    help="The lines are subscribe's output: publish with their event IDs and headers.",
)
@click.option(
    "--header",
    "headers",
    type=parse_header,
    multiple=True,
    metavar="NAME=VALUE",
    help="A header of every event; may be repeated.",
)
@click.pass_obj
def publish(
    connection: Connection,
    event: str,
    file: str | None,
    envelope: bool,
    headers: tuple[tuple[str, str], ...],
) -> int:
    """Publish events from NDJSON: one payload on each line of FILE or stdin.

    Prints one result for each payload, in order: index (from 0; blank lines do not count),
    status, event_id, replay_id and, unless the status is PERSISTED, error. NOT_PERSISTED is
    certainly not stored. UNKNOWN may be: publish it again with the same event ID. The exit status
    is 1 if any event is not PERSISTED. Ctrl-C gives every event that was begun its result.
    """
    with ExitStack() as stack:
        descriptor, size = stack.enter_context(open_input(file, "payloads"))
        from platform_events.bus.bus import EventBus
        from platform_events.cli.events.publisher import CLOSE_WITHIN, LinePublisher
        from platform_events.cli.terminal.progress import ByteProgress

        settings = connection.settings()
        timeout = min(settings.close_timeout, CLOSE_WITHIN)
        bus = stack.enter_context(EventBus(settings.model_copy(update={"close_timeout": timeout})))
        publisher = LinePublisher(bus, event, dict(headers), envelope=envelope)
        progress = stack.enter_context(ByteProgress(size))
        try:
            publisher.run(descriptor, progress)
        except PlatformEventsError as error:
            if not publisher.begun:
                raise
            status = report_failure(error)
            note(f"nothing from index {publisher.begun} on was published")
            return status
    return _conclude(publisher)


def _conclude(publisher: LinePublisher) -> int:
    """Tell in words what became of the events, and return the exit status."""
    counts = publisher.counts
    stored, refused, unknown = (counts[one] for one in ("PERSISTED", "NOT_PERSISTED", "UNKNOWN"))
    summary = f"{stored:,} persisted, {refused:,} not persisted, {unknown:,} unknown"
    if publisher.interrupt is not None:
        rest = f"nothing from index {publisher.begun} on was published"
        if publisher.unanswered:
            rest = (
                f"whether anything from index {publisher.begun} to "
                f"{publisher.begun + publisher.unanswered - 1} was stored is not known, "
                "nothing after it was published"
            )
        report_failure(InterruptedPublishError(f"{summary}; {rest}"))
        return exit_status(publisher.interrupt)
    if refused or unknown:
        note(summary)
        return FAILED
    if sys.stderr.isatty():
        note(summary)
    return 0
