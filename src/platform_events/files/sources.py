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
    """A directory on disk. With `only`, no definition but that file is read.

    Links are followed while they stay inside, as those of a mounted ConfigMap do.
    """

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
            DefinitionsError: a directory cannot be read, or is a link that leads out or back.
        """
        if self._only:
            project = [PROJECT_FILE] if (self._root / PROJECT_FILE).exists() else []
            return sorted({self._only, *project})
        found: list[str] = []
        for folder, folders, files in os.walk(self._root, onerror=_refuse_folder, followlinks=True):
            folders[:] = [name for name in folders if not name.startswith(".")]
            below = Path(folder)
            for name in folders:
                if reason := self._distrust_folder(below / name):
                    raise _unreadable(_printable(below / name), reason)
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
            if name != self._only and not self._is_inside(path):
                raise FileError(f"a link that leads out of {_printable(self._root)}; copy it")
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise FileError("there is no such file") from None
        except OSError as error:
            raise FileError(f"the file cannot be read: {error.strerror}") from None

    def _is_inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._root.resolve())

    def _distrust_folder(self, path: Path) -> str:
        """Return why a directory is not read, if it is a link that is not to be followed."""
        if not path.is_symlink():
            return ""
        if not self._is_inside(path):
            return f"a link that leads out of {_printable(self._root)}; copy it"
        above = [path.parent, *path.parent.parents]
        way = above[: above.index(self._root) + 1]
        if path.resolve() in {one.resolve() for one in way}:
            return "a link to a directory that it is in would never end; remove it"
        return ""


def open_tree(path: Path) -> Directory:
    """Return the files that `path` stands for, a directory or one file.

    Raises:
        DefinitionsError: there is nothing at that path.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        message = f"there is no such file or directory; {advise_on_nothing(path.parent)}"
        raise _unreadable(str(path), message) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _unreadable(str(path), f"cannot be read: {reason}") from None
    if stat.S_ISDIR(mode):
        return Directory(path)
    return Directory(path.parent, path.name)


def advise_on_nothing(folder: Path) -> str:
    """Return what to do where nothing is defined: an example only where it can be written."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    if os.access(there, os.W_OK):
        return "`platform-events init` writes an example"
    return "mount or copy definitions there"


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
