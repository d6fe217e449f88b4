"""Completion in the shell: the scripts, and names of streams from the catalog."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from platform_events.cli.base import Command
from platform_events.cli.connection import Connection
from platform_events.cli.terminal.output import print_line
from platform_events.errors import PlatformEventsError
from platform_events.names import stream_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.settings import Settings

_SHELLS = ("bash", "zsh", "fish")
_CONNECT_WITHIN = 0.2
_ANSWER_WITHIN = 1.0
"""Seconds. Whoever pressed Tab waits."""


@click.command(
    cls=Command,
    examples=(
        'eval "$(platform-events completion bash)"         # in ~/.bashrc',
        'eval "$(platform-events completion zsh)"          # in ~/.zshrc',
        "platform-events completion fish | source          # in ~/.config/fish/config.fish",
    ),
)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options and names of streams."""
    name = "platform-events"
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(context.find_root().command, {}, name, "_PLATFORM_EVENTS_COMPLETE").source()
    print_line(script.strip())


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
