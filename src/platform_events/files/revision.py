"""Load definitions as they were in a revision of the Git repository that holds them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from platform_events.definitions.model import Definitions
from platform_events.errors import DefinitionsError, UsageError
from platform_events.files.document import MAX_BYTES, in_order
from platform_events.files.loader import CHANNELS, read_definitions, read_readable
from platform_events.files.sources import PROJECT_FILE, FileError, select_names

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from platform_events.definitions.model import Definition

_SUFFIXES = (".yaml", ".yml", ".avsc")
_DEFINES = re.compile(rb"""^[\s{"']*(?:event|channel)["']?\s*:\s*["']?(\w+)""", re.MULTILINE)
"""Finds what a file seems to define; whether it does, reading it tells."""
_FILE_MODES = ("100644", "100755")
_REDIRECTIONS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
"""Set by Git while a hook runs; they would be taken relative to another directory here."""


def load_definitions_at(reference: str, path: Path, now: Definitions | None = None) -> Definitions:
    """Load what `load_definitions(path)` would have found in a revision.

    Args:
        reference: anything that names a commit, such as `main` or `HEAD~1`.
        path: the directory of definitions, or one file. If it did not exist then, it had none.
        now: what is defined there now. What of it the revision defined elsewhere, in files that
            are gone since, is found by its name: files and directories are renamed.

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
    known = Definitions()
    if entries:
        only = None
        if [entry.name for entry in entries] == [inside]:
            inside, only = str(PurePosixPath(inside).parent), PurePosixPath(inside).name
            entries = _list_entries(base, commit, inside)
        known = read_definitions(_Revision(reference, base, inside, only, entries))
    if now is None:
        return known
    return _add_moved(known, now, reference, base, commit, whole=not entries and path.is_dir())


def _add_moved(
    known: Definitions, now: Definitions, reference: str, base: Path, commit: str, *, whole: bool
) -> Definitions:
    """Add what a commit defined of the names of today in files that are gone since.

    `whole`: the directory of definitions was renamed, so what else it defined counts too.
    """
    every: Mapping[str, Definition] = {**now.events, **now.channels}
    missing = {
        name: definition.file
        for name, definition in every.items()
        if name not in known.events and name not in known.channels
    }
    if not missing:
        return known
    top = Path(os.fsdecode(_git(base, "rev-parse", "--show-toplevel").removesuffix(b"\n")))
    entries = {entry.name: entry for entry in _list_entries(base, commit, ".")}
    for root, files in _find_roots(top, commit, entries, missing).items():
        inside = [entry for entry in entries.values() if root in _parents(entry.name)]
        found, problems = read_readable(_Revision(reference, base, root or ".", None, inside))
        hidden = [one for one in problems if one.file.removeprefix(f"{reference}:") in files]
        if hidden:
            raise DefinitionsError(in_order(hidden))

        def counts(one: Definition) -> bool:
            file = top / one.file.removeprefix(f"{reference}:")
            return one.name in missing or (whole and not file.exists())

        known = Definitions(
            found.project if whole else known.project,
            {n: one for n, one in found.events.items() if counts(one)} | dict(known.events),
            {n: one for n, one in found.channels.items() if counts(one)} | dict(known.channels),
        )
    return known


def _find_roots(
    top: Path, commit: str, entries: Mapping[str, _Entry], missing: Mapping[str, str]
) -> dict[str, set[str]]:
    """Return directories of definitions in a commit, each with files that define what is missing.

    `missing` has the file of today of each name.
    """
    roots: dict[str, set[str]] = {}
    for file, text in _find_definers(top, commit, entries).items():
        for name in {word.decode() for word in _DEFINES.findall(text)} & missing.keys():
            if not _defines(top / file, name):
                root = _root_of(file, entries, _below(top, missing[name]))
                roots.setdefault(root, set()).add(file)
    return roots


def _find_definers(top: Path, commit: str, every: Mapping[str, _Entry]) -> dict[str, bytes]:
    """Return the texts of a commit's files that seem to define events or channels."""
    found = _run(top, "grep", "-l", "-z", "-I", "-E", "(event|channel)[\"']?[[:space:]]*:", commit)
    names = [os.fsdecode(name).removeprefix(f"{commit}:") for name in found.stdout.split(b"\0")]
    entries = [every[name] for name in select_names(names) if _is_readable(every[name])]
    blobs = _read_blobs(top, [entry.blob for entry in entries])
    return {entry.name: blobs[entry.blob] for entry in entries}


def _defines(path: Path, name: str) -> bool:
    """Whether a file of today still defines a name, as that of a copy does."""
    try:
        return name.encode() in _DEFINES.findall(path.read_bytes())
    except OSError:
        return False


def _root_of(file: str, every: Collection[str], present: str) -> str:
    """Return the directory of definitions to which a file belonged.

    It has a project's file, or is above `channels`, or above what the file's path has in common
    with the `present` one.
    """
    for folder in _parents(file):
        if str(PurePosixPath(folder) / PROJECT_FILE) in every:
            return folder
    parts = PurePosixPath(file).parts
    if CHANNELS in parts[:-1]:
        return "/".join(parts[: parts.index(CHANNELS)])
    others = PurePosixPath(present).parts
    common = 1
    while common < len(parts) and parts[-common - 1 :] == others[-common - 1 :]:
        common += 1
    return "/".join(parts[:-common])


def _parents(file: str) -> list[str]:
    """Return the directories above a file, the nearest first; the repository's own is empty."""
    parts = PurePosixPath(file).parts[:-1]
    return ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]


def _below(top: Path, file: str) -> str:
    return PurePosixPath(os.path.relpath(Path(file).resolve(), top.resolve())).as_posix()


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
