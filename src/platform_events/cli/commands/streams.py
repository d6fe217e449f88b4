"""`platform-events streams`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command, json_option
from platform_events.cli.terminal.interruption import stop_event
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import begin_screen, print_json, print_line, reader_is_gone
from platform_events.errors import BrokerError, UsageError

if TYPE_CHECKING:
    from platform_events.bus.bus import EventBus
    from platform_events.cli.connection import Connection
    from platform_events.cli.views.streams import Seen

_EVERY = 2.0
"""Seconds between two looks."""


@click.command(
    cls=Command,
    examples=(
        "platform-events streams",
        "platform-events streams --watch",
        "platform-events streams --json | jq -r '.[].name'",
    ),
)
@json_option
@click.option("--watch", is_flag=True, help="Look again every 2 seconds, until Ctrl-C.")
@click.pass_obj
def streams(connection: Connection, as_json: bool, watch: bool) -> None:
    """List the streams and what they hold, and how channels are fed.

    EVENTS is counted where a stream has at most 10,000 offsets; else it is an upper bound, as is
    LAST MINUTE, what was stored in the last 60 seconds, since markers of transactions count too.
    NEWEST is when the last event was stored. Subscribing from EARLIEST delivers the oldest event
    still there, from LATEST only what comes next. STATE is ready, pending (an apply has begun and
    not finished), topic missing (apply makes it again) or unreadable (its catalog record is; apply
    writes it again).

    Of each member of a channel: LAG is how many events are not routed yet (an upper bound), AGE
    the age of the oldest of them. PASSED went into the channel, FILTERED did not pass the filter,
    DEAD-LETTERED could not be decoded or written and is in the channel's dead-letter topic,
    EXPIRED was removed by retention before it was routed. DEFINITION is the number of the one in
    force. Of each channel's partition: which router feeds it, and how it goes.
    """
    if watch and as_json:
        raise UsageError("--watch is for people: it does not go with --json")
    from platform_events.cli.views.streams import describe_streams

    with connection.bus() as bus:
        if watch:
            _watch(bus)
        elif as_json:
            print_json(describe_streams(bus))
        else:
            _show(bus, {})


def _watch(bus: EventBus) -> None:
    stop = stop_event(insistently=True)
    seen: Seen = {}
    while not reader_is_gone():
        try:
            _show(bus, seen, whole_screen=True)
        except BrokerError as error:
            if not error.retriable:
                raise
            note(f"looking again: {error}")
        if stop.wait(_EVERY):
            return


def _show(bus: EventBus, seen: Seen, *, whole_screen: bool = False) -> None:
    from platform_events.cli.views.streams import describe_streams, print_streams

    documents = describe_streams(bus, seen)
    if whole_screen:
        begin_screen()
        print_line(f"{time.strftime('%H:%M:%S')}, again every {_EVERY:g} seconds; Ctrl-C ends")
    if documents:
        print_streams(documents)
    else:
        tenant = bus.settings.tenant
        note(f"tenant {tenant!r} has no streams; platform-events apply makes some")
