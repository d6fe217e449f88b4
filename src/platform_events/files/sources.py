"""Where definition files come from: a directory, or one file of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Protocol

from platform_events.errors import DefinitionsError, Problem
from platform_events.files.document import MAX_BYTES

PROJECT_FILE = "project.yaml"
SUFFIXES = (".yaml", ".yml")


class FileError(Exception):
    """A file cannot be read. The text says why and what to do."""


class FileTree(Protocol):
    """The files below the directory of definitions, named by `/`-separated relative paths."""

    @property
    def place(self) -> str:
        """The tree as the user named it."""

    def names(self) -> list[str]:
        """Return the YAML files that are to be read, without hidden ones, sorted."""

    def show(self, name: str) -> str:
        """Return a file's path as the user would name it."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes, at most one more than are allowed.

        Raises:
            FileError: there is no such file, or it cannot be read.
        """


class Directory:
    """A directory on disk. With `only`, no definition but that file is read."""

    def __init__(self, root: Path, only: str | None = None) -> None:
        self._root = root
        self._only = only

    @property
    def place(self) -> str:
        """As the protocol says."""
        return _printable(self._root / self._only if self._only else self._root)

    def names(self) -> list[str]:
        """As the protocol says.

        Raises:
            DefinitionsError: a directory cannot be read or is a link.
        """
        if self._only:
            project = [PROJECT_FILE] if (self._root / PROJECT_FILE).exists() else []
            return sorted({self._only, *project})
        found: list[str] = []
        for folder, folders, files in os.walk(self._root, onerror=_refuse_folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            below = Path(folder)
            for name in folders:
                if (below / name).is_symlink():
                    raise _unreadable(
                        _printable(below / name), "a link to a directory is not followed; copy it"
                    )
            found += [(below / name).relative_to(self._root).as_posix() for name in files]
        return select_names(found)

    def show(self, name: str) -> str:
        """As the protocol says."""
        return _printable(self._root / name)

    def read(self, name: str) -> bytes:
        """As the protocol says."""
        path = self._root / name
        try:
            # Asked before opening: opening a pipe would wait for a writer.
            if not stat.S_ISREG(path.stat().st_mode):
                raise FileError("this is not a regular file")
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise FileError("there is no such file") from None
        except OSError as error:
            raise FileError(f"the file cannot be read: {error.strerror}") from None


def open_tree(path: Path) -> Directory:
    """Return the files that `path` stands for, a directory or one file.

    Raises:
        DefinitionsError: there is nothing at that path.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise _unreadable(
            str(path),
            "there is no such file or directory; `platform-events init` writes an example",
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _unreadable(str(path), f"cannot be read: {reason}") from None
    if stat.S_ISDIR(mode):
        return Directory(path)
    return Directory(path.parent, path.name)


def select_names(names: list[str]) -> list[str]:
    """Return the YAML files among `names` that no part of the path hides, sorted."""
    return sorted(
        {
            name
            for name in names
            if name.lower().endswith(SUFFIXES)
            and not any(part.startswith(".") for part in PurePosixPath(name).parts)
        }
    )


def _printable(path: Path) -> str:
    """Return a path without the stand-ins for bytes that are no UTF-8."""
    return str(path).encode(errors="backslashreplace").decode()


def _unreadable(file: str, message: str) -> DefinitionsError:
    return DefinitionsError([Problem(file, message)])


def _refuse_folder(error: OSError) -> None:
    raise _unreadable(str(error.filename), f"cannot be read: {error.strerror}")
