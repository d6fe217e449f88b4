"""Making a router for a command, and showing what it does: lines on stderr, bars on a terminal."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from platform_events.cli.long_running import collect_rarely
from platform_events.cli.terminal.messages import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from platform_events.channels.router import Router
    from platform_events.channels.states import Progress, State
    from platform_events.settings import Settings

_COLLECT_AFTER = 50_000
"""Objects made between two garbage collections."""
_SMALL = 1_000
"""Records that are caught up without a word."""
_LINE_SECONDS = 5.0


@contextmanager
def shown_router(settings: Settings) -> Iterator[Router]:
    """Make a router that shows what it does while the `with` lasts.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
    """
    from platform_events.channels.router import Router

    collect_rarely(_COLLECT_AFTER)
    with RoutingView() as view:
        router = Router(settings, view.show_state, view.show_progress)
        note(f"routing channels as {router.name}")
        yield router


class RoutingView:
    """Shows states and progress. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._tasks: dict[tuple[str, int], TaskID] = {}
        self._last: dict[tuple[str, int], Progress] = {}
        self._told: dict[tuple[str, int], float] = {}

    def show_state(self, channel: str, partition: int, state: State, detail: str) -> None:
        """Show that a channel partition is doing something else now."""
        if state == "taking over":
            return
        # What is wrong is logged where it is noticed.
        if not detail:
            note(f"{_label(channel, partition)}: {state}")

    def show_progress(self, channel: str, partition: int, progress: Progress | None) -> None:
        """Show how far catching up is; None: it is over, or given up."""
        key = (channel, partition)
        with self._lock:
            if progress is None:
                self._end(key)
                return
            self._last[key] = progress
            if progress.total < _SMALL:
                return
            if sys.stderr.isatty():
                self._move_bar(key, progress)
                return
            now = time.monotonic()
            is_due = now - self._told.setdefault(key, now) > _LINE_SECONDS
            if is_due and progress.done < progress.total:
                self._told[key] = now
                note(f"{_label(*key)}: {progress.done:,} of {progress.total:,} records caught up")

    def _end(self, key: tuple[str, int]) -> None:
        self._told.pop(key, None)
        if self._bars is not None and key in self._tasks:
            self._bars.remove_task(self._tasks.pop(key))
        last = self._last.pop(key, None)
        if last is not None and last.done == last.total >= _SMALL:
            note(f"{_label(*key)}: {last.total:,} records caught up")

    def _move_bar(self, key: tuple[str, int], progress: Progress) -> None:
        bars = self._bars or self._make_bars()
        if key not in self._tasks:
            self._tasks[key] = bars.add_task(_label(*key))
        bars.update(self._tasks[key], completed=progress.done, total=progress.total)

    def _make_bars(self) -> Bars:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        self._bars = Progress(
            "{task.description}: catching up",
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bars.start()
        return self._bars

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()


def _label(channel: str, partition: int) -> str:
    return channel if partition == 0 else f"{channel}[{partition}]"
