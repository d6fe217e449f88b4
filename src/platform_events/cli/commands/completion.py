"""`platform-events completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from platform_events.cli.arguments import Command
from platform_events.cli.terminal.output import print_line

_SHELLS = ("bash", "zsh", "fish")


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
