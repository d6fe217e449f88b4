"""`platform-events init`."""

from __future__ import annotations

from pathlib import Path

import click

from platform_events.cli.arguments import DEFAULT_PATH, Command
from platform_events.cli.new_files import write_new_files
from platform_events.cli.terminal.output import note


@click.command(
    cls=Command,
    examples=("platform-events init", "platform-events init services/shop/schemas"),
)
@click.argument("directory", metavar="[DIR]", default=DEFAULT_PATH, type=click.Path(path_type=Path))
def init(directory: Path) -> None:
    """Write an example into DIR (default: schemas) to start from.

    It has a project.yaml, which names the project after the directory above DIR, the definition of
    one event, and the JSON Schemas with which editors complete and check definitions. Nothing that
    is there already is overwritten.
    """
    from platform_events.files.starting_files import example_files, starting_files

    files = starting_files(directory.resolve().parent.name) | example_files()
    write_new_files(directory, dict(sorted(files.items())))
    argument = "" if directory == Path(DEFAULT_PATH) else f" {directory}"
    note("Next:")
    note(f"  platform-events check{argument}    # are the definitions valid?")
    note("  platform-events up       # Kafka on this machine, in another terminal")
    note(f"  platform-events apply{argument}    # make the streams")
