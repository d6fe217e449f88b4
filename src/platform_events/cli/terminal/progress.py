"""How far a file was published, for whoever sits at the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class ByteProgress:
    """A bar on stderr; nothing at all unless stderr is a terminal that stdout does not share.

    Args:
        total: bytes of the input; None if that is not known, which shows no bar.
    """

    def __init__(self, total: int | None) -> None:
        self._bar = None
        if total is None or not sys.stderr.isatty() or sys.stdout.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        self._bar = Progress(
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[events]:,} events, {task.fields[rate]:,.0f}/s"),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("publish", total=total, events=0, rate=0)

    def advance(self, size: int, events: int) -> None:
        """Note that `size` more bytes were read, and how many events had a result so far."""
        if self._bar is not None:
            elapsed = self._bar.tasks[0].elapsed or 0.0
            rate = events / elapsed if elapsed else 0
            self._bar.update(self._task, advance=size, events=events, rate=rate)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
