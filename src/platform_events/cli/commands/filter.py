"""`platform-events filter`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import CONTEXT_SETTINGS, Command, input_file
from platform_events.cli.completion import complete_events, complete_streams
from platform_events.cli.terminal.failures import FAILED
from platform_events.cli.terminal.input import open_input
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import json_line, print_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from platform_events.bus.bus import EventBus
    from platform_events.cli.connection import Connection
    from platform_events.cli.events.judge import Definitions, Judge, Verdict


@click.group(context_settings=CONTEXT_SETTINGS)
def filter() -> None:  # noqa: A001 - the command's name
    """Try filters of channels."""


@filter.command(
    cls=Command,
    examples=(
        "platform-events filter test Delays__chn",
        'platform-events filter test "delay_minutes >= 60" --event Flight_Departed__e',
        "platform-events filter test Delays__chn --schemas schemas events.ndjson",
        "platform-events subscribe Flight_Departed__e --no-follow \\",
        "  | platform-events filter test \"origin = 'JFK'\" --event Flight_Departed__e -",
    ),
)
@click.argument("target", metavar="CHANNEL|EXPRESSION", shell_complete=complete_streams)
@input_file
@click.option(
    "--event",
    metavar="NAME",
    shell_complete=complete_events,
    help="The event that EXPRESSION is for; with CHANNEL only this member.",
)
@click.option(
    "--schemas",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Take channels and events from these files instead of the catalog.",
)
@click.option(
    "--recent",
    type=click.IntRange(min=1, max=100_000),
    default=100,
    show_default=True,
    metavar="N",
    help="Without FILE: how many of the newest events of each member to read.",
)
@click.pass_obj
def test(
    connection: Connection,
    target: str,
    file: str | None,
    event: str | None,
    schemas: Path | None,
    recent: int,
) -> int:
    """Tell which events pass a filter, and why the others do not.

    Events are the newest ones of each member, read from the broker, or the lines of FILE or
    stdin (-): payloads, or what subscribe prints. Prints a line of JSON for each event: index,
    type, event_id if it is known, passes and reasons; for a line that is no event index and
    error, and the exit status is 1. With --schemas and a file no broker is needed.
    """
    from platform_events.cli.events.judge import make_judge

    with ExitStack() as stack:

        @cache
        def bus() -> EventBus:
            return stack.enter_context(connection.bus())

        judge = make_judge(target, event, _open_definitions(schemas, bus))
        if file is None:
            verdicts = _judge_recent(judge, bus(), recent)
        else:
            descriptor, _ = stack.enter_context(open_input(file, "events"))
            verdicts = judge.lines(descriptor)
        return _report(verdicts)


def _judge_recent(judge: Judge, bus: EventBus, count: int) -> Iterator[Verdict]:
    from platform_events.cli.events.judge import recent_events

    for event in recent_events(bus, judge.names, count):
        yield judge.event(event, bus.catalog)


def _open_definitions(schemas: Path | None, bus: Callable[[], EventBus]) -> Definitions:
    from platform_events.cli.events.judge import FileDefinitions

    if schemas is None:
        return bus().catalog
    from platform_events.files.loader import load_definitions

    return FileDefinitions(str(schemas), load_definitions(schemas))


def _report(verdicts: Iterator[Verdict]) -> int:
    passed = judged = refused = 0
    for index, verdict in enumerate(verdicts):
        print_line(json_line({"index": index, **verdict}))
        if "error" in verdict:
            refused += 1
            continue
        judged += 1
        passed += verdict["passes"]
    events = f"{judged:,} event passes" if judged == 1 else f"{judged:,} events pass"
    lines = f"; {refused:,} line{' is' if refused == 1 else 's are'} no event" if refused else ""
    note(f"{passed:,} of {events}{lines}")
    return FAILED if refused else 0
