"""A table of results, for the terminal and for the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Rows:
    """One table."""

    title: str
    """What it shows."""
    head: tuple[str, ...]
    """Column titles; all but the first are numbers or short words."""
    body: Sequence[tuple[str, ...]]
    """The rows."""

    def to_markdown(self) -> str:
        """Return the table, without its title."""
        lines = [self.head, ("---", *("---:" for _ in self.head[1:])), *self.body]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def to_rich(self) -> Table:
        """Return the table for a terminal."""
        table = Table(title=self.title, title_justify="left")
        for number, title in enumerate(self.head):
            table.add_column(title, justify="right" if number else "left")
        for row in self.body:
            colour = "red" if {"missed", "failed"} & set(row) else None
            table.add_row(*row, style=colour)
        return table


def verdict(met: bool, value: float | None) -> str:
    """Return in a word whether a bar was met."""
    if value is None:
        return "not measured"
    return "met" if met else "missed"
