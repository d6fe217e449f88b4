"""`platform-events import`."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import CONTEXT_SETTINGS, DEFAULT_PATH, Command
from platform_events.cli.new_files import write_new_files
from platform_events.cli.terminal.messages import note
from platform_events.errors import DefinitionsError, Problem
from platform_events.files.document import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from platform_events.files.salesforce import MetadataFile


@click.group("import", context_settings=CONTEXT_SETTINGS)
def import_() -> None:
    """Make definitions of another system's."""


@import_.command(
    cls=Command,
    examples=(
        "platform-events import salesforce force-app",
        "platform-events import salesforce src/objects/Order_Placed__e.object --out orders/schemas",
    ),
)
@click.argument(
    "paths",
    metavar="PATH...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.option(
    "--out",
    "directory",
    metavar="DIR",
    default=DEFAULT_PATH,
    show_default=True,
    type=click.Path(path_type=Path),
    help="Where to write.",
)
def salesforce(paths: Sequence[Path], directory: Path) -> None:
    """Make definitions of a Salesforce project's platform events.

    PATH is a folder or file of metadata, in source format or metadata format. Events become event
    definitions, custom channels and their members become channels with filters. What has no
    counterpart is listed. Nothing is overwritten: an event or channel that has a file in DIR ends
    it, before anything is written.
    """
    from platform_events.files.salesforce import import_metadata
    from platform_events.files.starting_files import definition_file, starting_files

    found = import_metadata(_read_files(paths))
    for remark in found.remarks:
        note(f"note: {remark}")
    documents = (*found.events, *found.channels)
    if not documents:
        raise DefinitionsError(
            [
                Problem(
                    ", ".join(map(str, paths)),
                    "no platform event is defined here; give the folder above objects/, or files "
                    "such as Order_Placed__e.object-meta.xml with their fields",
                )
            ]
        )
    begun = starting_files(directory.resolve().parent.name).items()
    files = {name: text for name, text in begun if not (directory / name).exists()}
    files |= dict(map(definition_file, documents))
    write_new_files(directory, dict(sorted(files.items())))
    note(
        f"events: {len(found.events)}, channels: {len(found.channels)}, "
        f"notes on what has no counterpart: {len(found.remarks)}"
    )
    argument = "" if directory == Path(DEFAULT_PATH) else f" {directory}"
    note(f"Next: platform-events check{argument}, then platform-events plan{argument}")


def _read_files(paths: Sequence[Path]) -> Iterator[MetadataFile]:
    """Yield the files of metadata at and below paths, each once."""
    from platform_events.files.salesforce import MetadataFile, is_metadata

    seen: set[Path] = set()
    for path in (file for given in paths for file in _files_of(given)):
        whole = path.resolve()
        if not is_metadata(path.name) or whole in seen:
            continue
        seen.add(whole)
        # Asked before opening: opening a pipe would wait for a writer.
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb") as file:
                yield MetadataFile(str(path), path.absolute(), file.read(MAX_BYTES + 1))


def _files_of(path: Path) -> Iterator[Path]:
    """Yield a file, or the files below a folder in the order of their names, but hidden ones."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))


def _refuse(error: OSError) -> None:
    raise error
