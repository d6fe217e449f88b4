"""`platform-events streams`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command, json_option
from platform_events.cli.terminal.output import note, print_json

if TYPE_CHECKING:
    from platform_events.cli.connection import Connection


@click.command(
    cls=Command,
    examples=(
        "platform-events streams",
        "platform-events streams --json | jq -r '.[].name'",
    ),
)
@json_option
@click.pass_obj
def streams(connection: Connection, as_json: bool) -> None:
    """List the streams and what they hold, and how channels are fed.

    EVENTS is an upper bound. Subscribing from EARLIEST delivers the oldest event still there,
    from LATEST only what comes next. STATE is ready, pending (an apply has begun and not
    finished), topic missing (apply makes it again) or unreadable (its catalog record is; apply
    writes it again).

    Of each member of a channel: LAG is how many events are not routed yet (an upper bound), AGE
    the age of the oldest of them. PASSED went into the channel, FILTERED did not pass the filter,
    DEAD-LETTERED could not be decoded or written and is in the channel's dead-letter topic,
    EXPIRED was removed by retention before it was routed. DEFINITION is the number of the one in
    force. Of each channel's partition: which router feeds it, and how it goes.
    """
    from platform_events.cli.views.streams import describe_streams, print_streams

    with connection.bus() as bus:
        documents = describe_streams(bus)
        tenant = bus.settings.tenant
    if as_json:
        print_json(documents)
    elif documents:
        print_streams(documents)
    else:
        note(f"tenant {tenant!r} has no streams; platform-events apply makes some")
