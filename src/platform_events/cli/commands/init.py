"""`platform-events init`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from platform_events.cli.arguments import DEFAULT_PATH, Command
from platform_events.cli.new_files import write_new_files
from platform_events.cli.terminal.messages import note

_NEXT = (
    "Next, in another terminal, Kafka with these definitions, until Ctrl-C:",
    "  platform-events up{up_option}",
    "and here:",
    """  echo '{{"order_id": "A-1", "amount": 250}}' | platform-events publish Order_Placed__e""",
    "  platform-events subscribe Large_Orders__chn --from earliest --max 1",
    "  platform-events apply{argument}    # after each change of a definition",
)


@click.command(
    cls=Command,
    examples=("platform-events init", "platform-events init services/shop/schemas"),
)
@click.argument("directory", metavar="[DIR]", default=DEFAULT_PATH, type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write an example into DIR (default: schemas) to start from.

    It has a project.yaml, which names the project after the directory above DIR, the definitions of
    one event and one channel, and the JSON Schemas with which editors complete and check
    definitions. Nothing that is there already is overwritten.
    """
    from platform_events.files.starting_files import example_files, starting_files

    files = starting_files(directory.resolve().parent.name) | example_files()
    write_new_files(directory, dict(sorted(files.items())))
    quoted = shlex.quote(str(directory))
    is_usual = directory == Path(DEFAULT_PATH)
    up_option, argument = ("", "") if is_usual else (f" --schemas {quoted}", f" {quoted}")
    for line in _NEXT:
        note(line.format(up_option=up_option, argument=argument))
