"""`platform-events replay-id`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import CONTEXT_SETTINGS, IdCommand, json_option
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import print_json, print_lines

if TYPE_CHECKING:
    from platform_events.cli.connection import Connection


@click.group("replay-id", context_settings=CONTEXT_SETTINGS)
def replay_id() -> None:
    """Look into replay IDs."""


@replay_id.command(
    cls=IdCommand,
    examples=(
        "platform-events replay-id inspect AAAAAAAAACpd3g",
        "platform-events replay-id inspect AAAAAAAAACpd3g --json",
    ),
)
@click.argument("text", metavar="ID")
@json_option
@click.pass_obj
def inspect(connection: Connection, text: str, as_json: bool) -> None:
    """Explain a replay ID: its form, the stream that it belongs to, and whether it is readable.

    Programs must not take replay IDs apart; this is for people who look for what went wrong.
    Without a broker it explains the form only.
    """
    from platform_events.cli.views.replay_id import find_verdicts, form_document, text_lines
    from platform_events.errors import BrokerError
    from platform_events.replay import ReplayId

    given = ReplayId.parse(text)
    document = form_document(given)
    verdicts = None
    settings = connection.settings()
    try:
        with connection.bus() as bus:
            verdicts = find_verdicts(bus, given)
    except BrokerError as error:
        note(f"the stream could not be looked up: {error}")
    if as_json:
        found = None if verdicts is None else [verdict.document() for verdict in verdicts]
        print_json(document | {"verdicts": found})
    else:
        print_lines(text_lines(document, verdicts, settings.tenant))
