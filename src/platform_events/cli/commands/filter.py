"""`platform-events filter`."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from platform_events.cli.base import Command, Group
from platform_events.cli.commands.completion import complete_events, complete_streams
from platform_events.cli.terminal.failures import FAILED, report_failure
from platform_events.cli.terminal.output import json_line, note, print_line
from platform_events.errors import DefinitionsError, Problem, UsageError
from platform_events.names import is_channel_name, stream_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from platform_events.bus.bus import EventBus
    from platform_events.cli.connection import Connection
    from platform_events.cli.events.judging import Definitions, Judge, Verdict

_STDIN = "-"


@click.group(cls=Group)
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
@click.argument(
    "file",
    metavar="[FILE|-]",
    required=False,
    type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True),
)
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
    with ExitStack() as stack:

        @cache
        def bus() -> EventBus:
            return stack.enter_context(connection.bus())

        judge = _make_judge(target, event, _open_definitions(schemas, bus))
        if isinstance(judge, int):
            return judge
        if file is None:
            verdicts = _judge_recent(judge, bus(), recent)
        else:
            verdicts = judge.lines(stack.enter_context(_open_input(file)))
        return _report(verdicts)


def _judge_recent(judge: Judge, bus: EventBus, count: int) -> Iterator[Verdict]:
    from platform_events.cli.events.judging import recent_events

    for event in recent_events(bus, judge.names, count):
        yield judge.event(event, bus.catalog)


def _open_definitions(schemas: Path | None, bus: Callable[[], EventBus]) -> Definitions:
    from platform_events.cli.events.judging import FileDefinitions

    if schemas is None:
        return bus().catalog
    from platform_events.files.loader import load_definitions

    return FileDefinitions(str(schemas), load_definitions(schemas))


def _make_judge(target: str, event: str | None, definitions: Definitions) -> Judge | int:
    """Return what judges events, or the exit status after the user was told what is wrong."""
    from platform_events.cli.events.judging import Judge
    from platform_events.filters import FilterError

    name = target.removeprefix("/event/")
    if is_channel_name(name):
        filters = {member.event: member.filter for member in definitions.channel(name).members}
        if event is not None:
            only = stream_name(event)
            if only not in filters:
                raise UsageError(f"{only} is no member of {name}: {', '.join(filters)}")
            filters = {only: filters[only]}
    elif event is None:
        raise UsageError("--event is missing: the name of the event that the expression is for")
    else:
        filters = {stream_name(event): target}
    judge = Judge()
    for member, text in filters.items():
        try:
            judge.add(definitions.event(member), text)
        except FilterError as error:
            excerpt = error.excerpt(text)
            if text is target:
                status = report_failure(UsageError(f"the filter is wrong: {error}"))
                for line in excerpt.splitlines():
                    note(f"    {line}")
                return status
            raise DefinitionsError(
                [Problem(name, f"the filter of {member}: {error}", excerpt=excerpt)]
            ) from error
    return judge


@contextmanager
def _open_input(file: str) -> Iterator[int]:
    """Give the input's file descriptor."""
    if file == _STDIN:
        if sys.stdin is None:
            raise UsageError("stdin is closed; name a FILE or pipe events in")
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


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
