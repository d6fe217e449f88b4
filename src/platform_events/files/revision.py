"""Load definitions as they were in a revision of the Git repository that holds them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from platform_events.definitions.model import Definitions
from platform_events.errors import UsageError
from platform_events.files.document import MAX_BYTES
from platform_events.files.loader import read_definitions
from platform_events.files.sources import PROJECT_FILE, FileError, select_names

_SUFFIXES = (".yaml", ".yml", ".avsc")
_FILE_MODES = ("100644", "100755")
_REDIRECTIONS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""Set by Git while a hook runs; they would be taken relative to another directory here."""


def load_definitions_at(reference: str, path: Path) -> Definitions:
    """Load what `load_definitions(path)` would have found in a revision.

    `reference` is anything that names a commit, such as `main` or `HEAD~1`. If `path` did not exist
    then, there are no definitions.

    Raises:
        UsageError: `git` is missing, `path` is in no repository, or it knows no such revision.
        DefinitionsError: the definitions of that revision are wrong; files are shown as
            `reference:path`.
    """
    base, rest = _existing_part(path)
    prefix = _git(base, "rev-parse", "--show-prefix").decode().removesuffix("\n")
    inside = (PurePosixPath(prefix) / rest).as_posix()
    commit = _find_commit(base, reference)
    entries = _list_entries(base, commit, inside)
    if not entries:
        return Definitions()
    only = None
    if [entry.name for entry in entries] == [inside]:
        inside, only = str(PurePosixPath(inside).parent), PurePosixPath(inside).name
        entries = _list_entries(base, commit, inside)
    return read_definitions(_Revision(reference, base, inside, only, entries))


class _Entry(NamedTuple):
    name: str
    """Path in the repository."""
    mode: str
    blob: str
    size: int


class _Revision:
    """The files below one directory of a commit."""

    def __init__(
        self, reference: str, base: Path, root: str, only: str | None, entries: list[_Entry]
    ) -> None:
        self._reference = reference
        self._root = root
        self._only = only
        self._entries = {
            PurePosixPath(entry.name).relative_to(root).as_posix(): entry
            for entry in entries
            if entry.name.lower().endswith(_SUFFIXES)
        }
        readable = [entry for entry in self._entries.values() if _is_readable(entry)]
        self._blobs = _read_blobs(base, [entry.blob for entry in readable])

    @property
    def place(self) -> str:
        return self.show(self._only or "")

    def names(self) -> list[str]:
        if self._only:
            return sorted({self._only, *({PROJECT_FILE} & self._entries.keys())})
        return select_names(list(self._entries))

    def show(self, name: str) -> str:
        return f"{self._reference}:{(PurePosixPath(self._root) / name).as_posix()}"

    def read(self, name: str) -> bytes:
        entry = self._entries.get(name)
        if entry is None:
            raise FileError("there is no such file")
        if entry.mode not in _FILE_MODES:
            raise FileError("this is not a regular file; links are not followed in a revision")
        if entry.size > MAX_BYTES:
            raise FileError(f"the file has {entry.size:,} bytes; at most {MAX_BYTES:,} are read")
        return self._blobs[entry.blob]


def _is_readable(entry: _Entry) -> bool:
    return entry.mode in _FILE_MODES and entry.size <= MAX_BYTES


def _existing_part(path: Path) -> tuple[Path, PurePosixPath]:
    """Split a path into the directory of it that exists now and the rest."""
    base = path.absolute()
    rest: list[str] = []
    while not base.is_dir():
        rest.insert(0, base.name)
        base = base.parent
    return base, PurePosixPath(*rest)


def _find_commit(base: Path, reference: str) -> str:
    if reference and not reference.startswith("-") and "\0" not in reference:
        found = _run(base, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
        if found.returncode == 0:
            return found.stdout.decode().strip()
    raise UsageError(
        f"git knows no revision {reference!r:.100}; in a shallow clone fetch it first, "
        "such as with `git fetch origin main`"
    )


def _list_entries(base: Path, commit: str, inside: str) -> list[_Entry]:
    where = [] if inside == "." else ["--", inside]
    listing = _git(base, "ls-tree", "-r", "-l", "-z", "--full-tree", commit, *where)
    entries = []
    for line in listing.split(b"\0")[:-1]:
        facts, _, name = line.partition(b"\t")
        mode, _, blob, size = facts.decode().split()
        length = 0 if size == "-" else int(size)
        entries.append(_Entry(os.fsdecode(name), mode, blob, length))
    return entries


def _read_blobs(base: Path, blobs: list[str]) -> dict[str, bytes]:
    if not blobs:
        return {}
    output = _git(base, "cat-file", "--batch", stdin="\n".join(blobs).encode())
    found = {}
    start = 0
    for blob in blobs:
        end = output.index(b"\n", start)
        size = int(output[start:end].split()[2])
        found[blob] = output[end + 1 : end + 1 + size]
        start = end + 1 + size + 1
    return found


def _git(base: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    done = _run(base, *arguments, stdin=stdin)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise UsageError(f"git cannot read {base}: {said[0].removeprefix('fatal: ')}")
    return done.stdout


def _run(base: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {key: value for key, value in os.environ.items() if key not in _REDIRECTIONS}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_LITERAL_PATHSPECS": "1"}
    try:
        return subprocess.run(
            ["git", "-C", str(base), *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            env=environment,
        )
    except FileNotFoundError:
        raise UsageError("comparing with a revision needs git, which is not on the PATH") from None
