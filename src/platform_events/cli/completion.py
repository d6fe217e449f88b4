"""Names of streams and subscriptions, completed in the shell."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from platform_events.cli.connection import Connection
from platform_events.errors import PlatformEventsError
from platform_events.names import is_channel_name, stream_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

    from platform_events.settings import Settings

_CONNECT_WITHIN = 0.2
_ANSWER_WITHIN = 1.0
"""Seconds. Whoever pressed Tab waits."""


def complete_events(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the event names that begin with `incomplete`; none if no broker answers at once."""
    return _complete(ctx, incomplete, _stream_names)


def complete_streams(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the streams that begin with `incomplete`, written as the user began."""
    if not incomplete.startswith("/"):
        return _complete(ctx, incomplete, _stream_names)
    return _complete(ctx, incomplete, lambda settings: map(stream_path, _stream_names(settings)))


def complete_subscriptions(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the subscriptions that begin with `incomplete`."""
    return _complete(ctx, incomplete, _subscription_names)


def complete_with_dead_letters(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[str]:
    """Return the subscriptions and channels that begin with `incomplete`."""

    def names(settings: Settings) -> list[str]:
        return [*_subscription_names(settings), *filter(is_channel_name, _stream_names(settings))]

    return _complete(ctx, incomplete, names)


def _complete(
    ctx: click.Context, incomplete: str, names: Callable[[Settings], Iterable[str]]
) -> list[str]:
    root = ctx.find_root().params
    connection = Connection(root.get("bootstrap_servers"), root.get("tenant"))
    logging.getLogger("platform_events").setLevel(logging.CRITICAL + 1)
    try:
        settings = connection.settings(request_timeout=_ANSWER_WITHIN)
        known = names(settings) if _answers(settings) else ()
    except PlatformEventsError:
        return []
    return sorted(name for name in known if name.startswith(incomplete))


def _stream_names(settings: Settings) -> list[str]:
    from platform_events.catalog.apply import read_catalog
    from platform_events.kafka.admin import Admin

    entries = read_catalog(settings, Admin(settings)).entries.values()
    return [entry.name for entry in entries if entry.active is not None]


def _subscription_names(settings: Settings) -> list[str]:
    from platform_events.kafka.admin import Admin
    from platform_events.workers.log import subscription_names

    return subscription_names(settings, Admin(settings))


def _answers(settings: Settings) -> bool:
    """Whether the first broker accepts a connection; a Kafka client would go on trying."""
    host, _, port = settings.bootstrap_servers.split(",")[0].strip().rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _CONNECT_WITHIN):
            return True
    except (OSError, ValueError):
        return False
