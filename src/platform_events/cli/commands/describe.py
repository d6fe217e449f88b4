"""`platform-events describe`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command, json_option
from platform_events.cli.completion import complete_streams
from platform_events.cli.terminal.output import print_json
from platform_events.names import stream_name

if TYPE_CHECKING:
    from platform_events.cli.connection import Connection


@click.command(
    cls=Command,
    examples=(
        "platform-events describe Order_Placed__e",
        "platform-events describe Large_Orders__chn --json | jq .members",
    ),
)
@click.argument("stream", metavar="NAME", shell_complete=complete_streams)
@json_option
@click.pass_obj
def describe(connection: Connection, stream: str, as_json: bool) -> None:
    """Show one stream: what it is for, its fields, and how full it is.

    NAME is an event's or a channel's, or /event/NAME. Of an event: its fields, the channels that
    contain it, and its schemas, each applied after the one below it. Of a channel: its members and
    how they are fed, as `streams` shows them.
    """
    from platform_events.cli.views.description import describe_stream, print_description

    name = stream_name(stream)
    with connection.bus() as bus:
        document = describe_stream(bus, name)
    if as_json:
        print_json(document)
    else:
        print_description(document)
