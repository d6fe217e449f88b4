"""Writing definition files that are not there yet, all or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_events.cli.terminal.failures import InputOutputError
from platform_events.cli.terminal.output import print_lines
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_new_files(directory: Path, files: Mapping[str, str]) -> None:
    """Write files (path below the directory, and content) and print their paths.

    Raises:
        UsageError: one of them is there already.
        InputOutputError: one cannot be written; those before it are gone again.
    """
    there = [str(directory / name) for name in files if (directory / name).exists()]
    if there:
        raise UsageError(f"already there: {', '.join(there)}; nothing was written")
    written: list[Path] = []
    try:
        for name, content in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(content)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise InputOutputError(f"{error.filename or directory}: {error.strerror}") from error
    print_lines(map(str, written))
