"""`platform-events schema`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import CONTEXT_SETTINGS, IdCommand, json_option
from platform_events.cli.completion import complete_events
from platform_events.cli.terminal.output import print_json
from platform_events.errors import UsageError
from platform_events.names import is_channel_name, is_event_name, stream_name

if TYPE_CHECKING:
    from platform_events.catalog.live import Catalog
    from platform_events.cli.connection import Connection
    from platform_events.definitions.schema import Schema


@click.group(context_settings=CONTEXT_SETTINGS)
def schema() -> None:
    """Look at Avro schemas."""


@schema.command(
    cls=IdCommand,
    examples=(
        "platform-events schema show Order_Placed__e",
        "platform-events schema show -mQ8zb1r0QyN5VYc0d2L1A --json",
    ),
)
@click.argument("name_or_id", metavar="NAME|ID", shell_complete=complete_events)
@json_option
@click.pass_obj
def show(connection: Connection, name_or_id: str, as_json: bool) -> None:
    """Print an Avro schema.

    NAME is an event's, for the schema that it is published with now; ID is any schema's that was
    ever applied in this tenant.
    """
    _check_form(name_or_id)
    with connection.bus() as bus:
        found = _find(bus.catalog, name_or_id)
    document = json.loads(found.text)
    print_json({"schema_id": found.id, "schema": document} if as_json else document)


def _check_form(name_or_id: str) -> None:
    from platform_events.definitions.schema import guid_from_schema_id

    name = name_or_id.removeprefix("/event/")
    if is_event_name(name):
        return
    if is_channel_name(name):
        raise UsageError(f"{name} is a channel: its events have the schemas of its members")
    try:
        guid_from_schema_id(name_or_id.rstrip("="))
    except UsageError:
        raise UsageError(
            f"{name_or_id[:60]!r} is neither an event's name, such as Order_Placed__e, nor a "
            "schema ID, which has 22 characters"
        ) from None


def _find(catalog: Catalog, name_or_id: str) -> Schema:
    if is_event_name(name_or_id.removeprefix("/event/")):
        return catalog.event(stream_name(name_or_id)).schema
    return catalog.schema(name_or_id.rstrip("="))
