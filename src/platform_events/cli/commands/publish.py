"""`platform-events publish`."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import parse_header
from platform_events.cli.base import Command
from platform_events.cli.commands.completion import complete_events
from platform_events.cli.terminal.failures import (
    FAILED,
    InterruptedPublishError,
    report_failure,
)
from platform_events.cli.terminal.interruption import exit_status
from platform_events.cli.terminal.output import note
from platform_events.errors import PlatformEventsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.cli.connection import Connection
    from platform_events.cli.events.chunks import Publishing

_STDIN = "-"


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
@click.argument(
    "file",
    metavar="[FILE|-]",
    required=False,
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
)
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
        descriptor, size = stack.enter_context(_open_input(file))
        from platform_events.bus.bus import EventBus
        from platform_events.cli.events.chunks import CLOSE_WITHIN, Publishing
        from platform_events.cli.terminal.progress import ByteProgress

        settings = connection.settings()
        timeout = min(settings.close_timeout, CLOSE_WITHIN)
        bus = stack.enter_context(EventBus(settings.model_copy(update={"close_timeout": timeout})))
        publishing = Publishing(bus, event, dict(headers), envelope=envelope)
        progress = stack.enter_context(ByteProgress(size))
        try:
            publishing.run(descriptor, progress)
        except PlatformEventsError as error:
            if not publishing.begun:
                raise
            status = report_failure(error)
            note(f"nothing from index {publishing.begun} on was published")
            return status
    return _conclude(publishing)


@contextmanager
def _open_input(file: str | None) -> Iterator[tuple[int, int | None]]:
    """Give the input's file descriptor, and its size if it is a file."""
    if file is None or file == _STDIN:
        if sys.stdin is None:
            raise UsageError("stdin is closed; name a FILE or pipe payloads in")
        if file is None and sys.stdin.isatty():
            raise UsageError("name a FILE, pipe payloads in, or give - to type them")
        yield sys.stdin.fileno(), None
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        yield descriptor, status.st_size if stat.S_ISREG(status.st_mode) else None
    finally:
        os.close(descriptor)


def _conclude(publishing: Publishing) -> int:
    """Tell in words what became of the events, and return the exit status."""
    counts = publishing.counts
    stored, refused, unknown = (
        counts["PERSISTED"],
        counts["NOT_PERSISTED"],
        counts["UNKNOWN"],
    )
    summary = f"{stored:,} persisted, {refused:,} not persisted, {unknown:,} unknown"
    if publishing.interrupt is not None:
        rest = f"nothing from index {publishing.begun} on was published"
        if publishing.unanswered:
            rest = (
                f"whether anything from index {publishing.begun} to "
                f"{publishing.begun + publishing.unanswered - 1} was stored is not known, "
                "nothing after it was published"
            )
        report_failure(InterruptedPublishError(f"{summary}; {rest}"))
        return exit_status(publishing.interrupt)
    if refused or unknown:
        note(summary)
        return FAILED
    if sys.stderr.isatty():
        note(summary)
    return 0
