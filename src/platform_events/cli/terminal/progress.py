"""Bars for whoever sits at the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from platform_events.cli.terminal.messages import note

if TYPE_CHECKING:
    from rich.progress import Progress

_MEGABYTE = 1_000_000


class ByteProgress:
    """How far a file was published: a bar on stderr, if that is a terminal and stdout is not.

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

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


class CountProgress:
    """How many of a known number are done: a bar on stderr while it lasts, if that is a terminal.

    Args:
        doing: in words.
        total: how many there are.
    """

    def __init__(self, doing: str, total: int) -> None:
        self._bar = None
        if not total or not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        self._bar = Progress(
            "{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(doing, total=total)

    def advance(self) -> None:
        """Note that one more is done."""
        if self._bar is not None:
            self._bar.update(self._task, advance=1)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


class DownloadProgress:
    """Shows a download from its first byte on: a bar on a terminal, else one line."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._is_told = False

    def advance(self, done: int, total: int) -> None:
        """Show that `done` of `total` bytes are there."""
        if not self._is_told:
            self._is_told = True
            self._begin(total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _begin(self, total: int) -> None:
        if not sys.stderr.isatty():
            note(f"downloading Kafka, {total / _MEGABYTE:.0f} MB, once on this machine")
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

        self._bar = Progress(
            "downloading Kafka, once on this machine",
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.add_task("", total=total)
        self._bar.start()
