"""The group of all commands. Each command's module is imported when it is used, not before."""

from __future__ import annotations

import difflib
import importlib
import keyword
import os
import sys
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, NoReturn

import click

from platform_events.cli.arguments import CONTEXT_SETTINGS
from platform_events.cli.connection import Connection
from platform_events.cli.environment import read_env_file
from platform_events.cli.terminal.ending import status_of
from platform_events.cli.terminal.interruption import signals
from platform_events.cli.terminal.messages import begin_messages
from platform_events.errors import PlatformEventsError

if TYPE_CHECKING:
    from collections.abc import Sequence


_PACKAGE = "platform_events.cli.commands"
_COMMANDS = {
    "init": "Write an example schemas/ to start from.",
    "up": "Run Kafka and the bus on this machine, for development.",
    "demo": "Show everything on free ports with real data, then stop.",
    "import": "Make definitions of another system's.",
    "check": "Check definitions, without a broker.",
    "plan": "Show what apply would change.",
    "apply": "Make topics and catalog what the definitions say.",
    "publish": "Publish events from NDJSON.",
    "subscribe": "Print a stream's events as NDJSON.",
    "streams": "List the streams and what they hold.",
    "describe": "Show one stream: what it is for, its fields, how full it is.",
    "subscriptions": "Look at the subscriptions of workers, command them.",
    "dead-letters": "Look at events not handled, redrive or discard them.",
    "serve": "Serve clients of the Pub/Sub API.",
    "principal": "Say who may log in to a service, and do what.",
    "route": "Fill the channels from their member events.",
    "work": "Handle a stream's events with a worker.",
    "schema": "Look at Avro schemas.",
    "filter": "Try filters of channels.",
    "replay-id": "Look into replay IDs.",
    "completion": "Print the completion script of a shell.",
}
"""In the order of the help. The help is here so that listing it imports no command."""


class Program(click.Group):
    """The group `platform-events`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return all names in the order of the help."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        name = cmd_name.replace("-", "_") + "_" * keyword.iskeyword(cmd_name)
        command: click.Command = getattr(importlib.import_module(f"{_PACKAGE}.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; for a misspelt one, name what is close."""
        if args[0] not in _COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            raise click.UsageError(f"there is no command {args[0]!r:.80}{guess}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,  # noqa: ARG002 - click's signature
        **extra: Any,
    ) -> NoReturn:
        """Run a command line and exit with its status."""
        if not standalone_mode:
            raise ValueError("the program always exits by itself")
        name = prog_name or "platform-events"
        sys.exit(status_of(lambda: self._run(name, args, complete_var, extra)))

    def _run(
        self, name: str, args: Sequence[str] | None, complete_var: str | None, extra: dict[str, Any]
    ) -> int:
        is_completing = "_PLATFORM_EVENTS_COMPLETE" in os.environ
        with suppress(PlatformEventsError) if is_completing else nullcontext():
            read_env_file()
        self._main_shell_completion(extra, name, complete_var)
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            with signals.translated(), self.make_context(name, arguments, **extra) as context:
                status = self.invoke(context) or 0
        except click.exceptions.Exit as end:
            status = end.exit_code
        return int(status)


@click.group(cls=Program, context_settings=CONTEXT_SETTINGS)
@click.version_option(package_name="platform-events", message="%(prog)s %(version)s")
@click.option(
    "--bootstrap-servers",
    metavar="HOST:PORT,...",
    help="Some brokers of the cluster. Default: PLATFORM_EVENTS_BOOTSTRAP_SERVERS, "
    "else 127.0.0.1:9092.",
)
@click.option(
    "--tenant",
    metavar="NAME",
    help="The tenant. Default: PLATFORM_EVENTS_TENANT, else default.",
)
@click.pass_context
def program(context: click.Context, bootstrap_servers: str | None, tenant: str | None) -> None:
    """An event bus on Apache Kafka.

    Data goes to stdout, messages to stderr. Exit status: 0; 1 when something failed; 2 for wrong
    usage. All settings are environment variables that begin with PLATFORM_EVENTS_, also read from
    a file .env in the working directory; with PLATFORM_EVENTS_DEBUG=1 failures show where they came
    from.
    """
    begin_messages()
    context.obj = Connection(bootstrap_servers, tenant)
