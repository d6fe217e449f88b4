"""Names of streams from the catalog, completed in the shell."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from platform_events.cli.connection import Connection
from platform_events.errors import PlatformEventsError
from platform_events.names import stream_path

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    from platform_events.settings import Settings

_CONNECT_WITHIN = 0.2
_ANSWER_WITHIN = 1.0
"""Seconds. Whoever pressed Tab waits."""


def complete_events(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the event names that begin with `incomplete`; none if no broker answers at once."""
    return _names(ctx, incomplete, lambda name: name)


def complete_streams(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the streams that begin with `incomplete`, written as the user began."""
    form = stream_path if incomplete.startswith("/") else lambda name: name
    return _names(ctx, incomplete, form)


def _names(ctx: click.Context, incomplete: str, form: Callable[[str], str]) -> list[str]:
    root = ctx.find_root().params
    connection = Connection(root.get("bootstrap_servers"), root.get("tenant"))
    logging.getLogger("platform_events").setLevel(logging.CRITICAL + 1)
    try:
        settings = connection.settings(request_timeout=_ANSWER_WITHIN)
        if not _answers(settings):
            return []
        from platform_events.catalog.apply import read_catalog
        from platform_events.kafka.admin import Admin

        entries = read_catalog(settings, Admin(settings)).entries.values()
    except PlatformEventsError:
        return []
    names = sorted(form(entry.name) for entry in entries if entry.active is not None)
    return [name for name in names if name.startswith(incomplete)]


def _answers(settings: Settings) -> bool:
    """Whether the first broker accepts a connection; a Kafka client would go on trying."""
    host, _, port = settings.bootstrap_servers.split(",")[0].strip().rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_WITHIN):
            return True
    except (OSError, ValueError):
        return False
