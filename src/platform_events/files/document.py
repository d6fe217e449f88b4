"""A document as a tree of values that know where they are, and the report of what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from platform_events.errors import Problem
from platform_events.wording import SHOWN, shown, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_BYTES = 1 << 20
"""Size of a definition file at most."""
MAX_DEPTH = 200
"""Levels of lists and mappings at most: three for each level of types that payloads may have."""
MAX_PROBLEMS = 100
"""Problems of one file at most: each may have taken a search for what was meant."""
MAX_NODES = 20_000
"""Values in a file at most; what an alias stands for counts each time."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_$-]{1,80}")


class Mark(NamedTuple):
    """A place in a file, both 1-based."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value of a document."""

    value: bool | int | float | str | tuple[Node, ...] | dict[str, Node] | None
    """The scalar, the items of a list, or the entries of a mapping."""
    mark: Mark
    """Where the value begins."""
    path: str = ""
    """Where in the document, such as `fields[2].type`; empty for the whole."""
    key: Mark | None = None
    """Where its key begins, if it is an entry of a mapping."""

    def get(self, key: str) -> Node | None:
        """Return the entry `key`; None if it is missing or this is no mapping."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def plain(self) -> Any:
        """Return the value as JSON-like Python objects, without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value

    def describe(self) -> str:
        """Say in a few words what the value is."""
        match self.value:
            case None:
                return "null"
            case bool():
                return "true" if self.value else "false"
            case int() | float():
                return f"the number {self.value!r:.{SHOWN}}"
            case str():
                return f"the text {shown(self.value)}"
            case tuple():
                return "a list"
        return "a mapping"


class TooManyProblemsError(Exception):
    """The reading of a file ends; its last problem says why."""


class Report:
    """Collects the problems of one file.

    Raises:
        TooManyProblemsError: by each method that adds a problem, once there are `MAX_PROBLEMS`.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.text = ""
        """The file's text, once it is decoded."""
        self.problems: list[Problem] = []

    def add(self, node: Node, message: str) -> None:
        """Add a problem of a value."""
        self._add(Problem(self.file, message, *node.mark, node.path))

    def add_misfit(self, node: Node, expected: str, advice: str = "") -> None:
        """Add that a value is not what is expected in its place."""
        self.add(node, f"must be {expected}, not {node.describe()}{advice}")

    def add_key(self, node: Node, message: str) -> None:
        """Add a problem of an entry's key."""
        self._add(Problem(self.file, message, *(node.key or node.mark), node.path))

    def add_at(self, mark: Mark, message: str, path: str = "") -> None:
        """Add a problem of a place that has no value."""
        self._add(Problem(self.file, message, *mark, path))

    def add_excerpt(self, node: Node, mark: Mark, message: str, excerpt: str) -> None:
        """Add a problem of a part of a text value, with the line that it is on."""
        self._add(Problem(self.file, message, *mark, node.path, excerpt))

    def add_file(self, message: str) -> None:
        """Add a problem of the file as a whole."""
        self._add(Problem(self.file, message))

    def _add(self, problem: Problem) -> None:
        if len(self.problems) == MAX_PROBLEMS:
            message = f"reading ends after {MAX_PROBLEMS} problems; mend those first"
            self.problems.append(replace(problem, message=message, excerpt=""))
            raise TooManyProblemsError
        self.problems.append(problem)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort problems by file, line and column."""
    return sorted(problems, key=lambda item: (item.file, item.line or 0, item.column or 0))


def entry_path(path: str, key: str) -> str:
    """Return the path of the entry `key` of the mapping at `path`."""
    segment = key if _PLAIN_KEY.fullmatch(key) else shown(key)
    return f"{path}.{segment}" if path else segment


def item_path(path: str, index: int) -> str:
    """Return the path of item `index` of the list at `path`."""
    return f"{path}[{index}]"


def unknown_key(key: str, known: Sequence[str]) -> str:
    """Say that a key is unknown and what could be meant."""
    guess = suggest(key, known) or f"; known here: {', '.join(known)}"
    return f"unknown key {shown(key)}{guess}"


def decode_text(data: bytes, report: Report) -> str | None:
    """Return the text of a file's bytes, None (reported) if they are too many or not UTF-8."""
    if len(data) > MAX_BYTES:
        report.add_file(f"the file has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
        return None
    try:
        report.text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lines = data[: error.start].split(b"\n")
        mark = Mark(len(lines), len(lines[-1].decode("utf-8")) + 1)
        report.add_at(mark, "the file is not UTF-8 from here on; save it as UTF-8")
        return None
    return report.text
