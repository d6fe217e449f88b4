"""`platform-events init`."""

from __future__ import annotations

import re
import unicodedata
from importlib import resources
from pathlib import Path

import click

from platform_events.cli.arguments import DEFAULT_PATH, Command
from platform_events.cli.terminal.failures import InputOutputError
from platform_events.cli.terminal.output import note, print_lines
from platform_events.definitions.model import DEFAULT_PROJECT
from platform_events.errors import UsageError
from platform_events.files.sources import PROJECT_FILE

_LONGEST_NAME = 80
"""Characters of a project's name."""


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
    files = _example_files(_name_project(directory.resolve().parent.name))
    there = [str(directory / name) for name in files if (directory / name).exists()]
    if there:
        raise UsageError(f"already there: {', '.join(there)}; nothing was written")
    try:
        for name, content in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(content)
    except OSError as error:
        raise InputOutputError(f"{error.filename or directory}: {error.strerror}") from error
    print_lines(str(directory / name) for name in files)
    argument = "" if directory == Path(DEFAULT_PATH) else f" {directory}"
    note("Next:")
    note(f"  platform-events check{argument}    # are the definitions valid?")
    note("  platform-events up       # Kafka on this machine, in another terminal")
    note(f"  platform-events apply{argument}    # make the streams")


def _example_files(project: str) -> dict[str, str]:
    """Return the example's files: path below the directory, and content."""
    from platform_events.files.editor_schema import (
        CHANNEL_SCHEMA,
        DIRECTORY,
        EVENT_SCHEMA,
        PROJECT_SCHEMA,
    )

    package = resources.files("platform_events.files")
    sources = {source.name: source for source in package.joinpath("example").iterdir()}
    sources |= {
        f"{DIRECTORY}/{name}": package.joinpath(name)
        for name in (EVENT_SCHEMA, CHANNEL_SCHEMA, PROJECT_SCHEMA)
    }
    files = {name: sources[name].read_text(encoding="utf-8") for name in sorted(sources)}
    unnamed = f"\nproject: {DEFAULT_PROJECT}\n"
    files[PROJECT_FILE] = files[PROJECT_FILE].replace(unnamed, f"\nproject: {project}\n")
    return files


def _name_project(folder: str) -> str:
    """Return a name that a project may have, as near to that of a folder as can be."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_NAME].strip("-")
    return name if name not in ("", DEFAULT_PROJECT) else "my-project"
