"""Threads for handlers that are no coroutines. They do not keep a process from ending."""

from __future__ import annotations

import contextvars
import threading
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


@dataclass(slots=True)
class _Task:
    future: asyncio.Future[Any]
    call: Callable[[], Any]
    is_wanted: Callable[[], bool]
    on_begin: Callable[[], None]
    has_begun: bool = False
    """By what the loop knows, which learns it before how it has ended."""


def as_failure(error: BaseException) -> Exception:
    """Return the failure of a handler that raised what ends a thread or a task, as SystemExit."""
    failure = RuntimeError(f"the handler raised {error!r}")
    # Its traceback says where.
    failure.__cause__ = error
    return failure


class HandlerThreads:
    """Runs functions in at most `most` threads, which begin when they are needed.

    A thread cannot be interrupted: a function that is not waited for any more keeps its thread
    until it returns.

    Args:
        most: how many threads.
        loop: of those who wait.
        on_kept: is called in the loop when functions begin or cease to keep threads although nobody
            waits for them any more, with the number of those threads.
    """

    def __init__(
        self, most: int, loop: asyncio.AbstractEventLoop, on_kept: Callable[[int], object]
    ) -> None:
        self._most = most
        self._loop = loop
        self._on_kept = on_kept
        self._kept = 0
        self._is_closed = False
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads = 0
        self._free = 0
        """Threads that wait, less the tasks that wait for one. The loop alone counts."""

    async def run(
        self,
        function: Callable[[], Any],
        *,
        is_wanted: Callable[[], bool],
        on_begin: Callable[[], None],
    ) -> Any:
        """Run a function in a thread, with the caller's context; return or raise what it does.

        Args:
            function: what to run.
            is_wanted: is asked before it begins, in the thread; if it is not, this is cancelled.
            on_begin: is called in the loop when it begins: it may have waited for a thread.
        """
        context = contextvars.copy_context()
        future = self._loop.create_future()
        if self._free <= 0 and self._threads < self._most:
            self._threads += 1
            name = f"platform-events-handler-{self._threads}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        else:
            self._free -= 1
        call = partial(context.run, function)
        task = _Task(future, call, is_wanted, on_begin)
        self._tasks.put(task)
        try:
            return await future
        finally:
            if future.cancelled() and task.has_begun:
                self._keep(1)

    def close(self) -> None:
        """Let all threads end that are free, or will be."""
        self._is_closed = True
        for _ in range(self._threads):
            self._tasks.put(None)

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            result, error = None, None
            is_run = not task.future.done() and task.is_wanted()
            try:
                if is_run:
                    self._loop.call_soon_threadsafe(self._begin, task)
                    try:
                        result = task.call()
                    except BaseException as raised:  # noqa: BLE001 - raised where it is waited for
                        error = raised
                self._loop.call_soon_threadsafe(self._settle, task, is_run, result, error)
            except RuntimeError:
                # The loop is closed: nobody waits any more.
                return

    def _begin(self, task: _Task) -> None:
        task.has_begun = True
        if task.future.done():
            self._keep(1)
        else:
            task.on_begin()

    def _keep(self, more: int) -> None:
        self._kept += more
        if not self._is_closed:
            self._on_kept(self._kept)

    def _settle(self, task: _Task, is_run: bool, result: Any, error: BaseException | None) -> None:
        future = task.future
        self._free += 1
        if future.done():
            if is_run:
                self._keep(-1)
            return
        if not is_run:
            future.cancel()
        elif error is None:
            future.set_result(result)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            future.set_exception(error)
        else:
            future.set_exception(as_failure(error))
