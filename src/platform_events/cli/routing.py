"""Running a router, and showing what it does: lines on stderr, bars on a terminal."""

from __future__ import annotations

import gc
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

from platform_events.cli.output import note

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from platform_events.channels.states import State
    from platform_events.settings import Settings

_COLLECT_AFTER = 50_000
"""Objects made between two garbage collections: millions of short-lived ones hold no cycles."""
_SMALL = 1_000
"""Records that are caught up without a word."""
_LINE_SECONDS = 5.0


def route_until(stop: threading.Event, settings: Settings) -> None:
    """Run a router until `stop` is set, and show what it does.

    Raises:
        PlatformEventsError: it cannot begin.
    """
    from platform_events.channels.router import Router

    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    with RoutingView() as view:
        router = Router(settings, view.show_state, view.show_progress)
        note(f"routing channels as {router.name}")
        router.run(stop)


class BackgroundRouter:
    """A router in a thread, for the length of a `with`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="router", daemon=True)

    def check(self) -> None:
        """Raise what ended it, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            route_until(self._stop, self._settings)
        except Exception as failure:  # noqa: BLE001 - raised again by check()
            self._failure = failure

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()


class RoutingView:
    """Shows states and progress. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars: Progress | None = None
        self._tasks: dict[tuple[str, int], TaskID] = {}
        self._told: dict[tuple[str, int], float] = {}

    def show_state(self, channel: str, partition: int, state: State, detail: str) -> None:
        """Show that a channel partition is doing something else now."""
        if state == "taking over":
            return
        # What is wrong is logged where it is noticed.
        if not detail:
            note(f"{_label(channel, partition)}: {state}")

    def show_progress(self, channel: str, partition: int, done: int, total: int) -> None:
        """Show how far catching up is."""
        if total < _SMALL:
            return
        key = (channel, partition)
        with self._lock:
            if sys.stderr.isatty():
                self._move_bar(key, done, total)
                return
            now = time.monotonic()
            if done == total or now - self._told.get(key, 0) > _LINE_SECONDS:
                self._told[key] = now
                note(f"{_label(*key)}: {done:,} of {total:,} records caught up")

    def _move_bar(self, key: tuple[str, int], done: int, total: int) -> None:
        bars = self._bars or self._make_bars()
        if key not in self._tasks:
            self._tasks[key] = bars.add_task(_label(*key), total=total)
        bars.update(self._tasks[key], completed=done, total=total)
        if done == total:
            bars.remove_task(self._tasks.pop(key))
            note(f"{_label(*key)}: {total:,} records caught up")

    def _make_bars(self) -> Progress:
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

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()


def _label(channel: str, partition: int) -> str:
    return channel if partition == 0 else f"{channel}[{partition}]"
