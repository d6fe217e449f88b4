"""Threads for handlers that are no coroutines. They do not keep a process from ending."""

from __future__ import annotations

import contextvars
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_Task: TypeAlias = "tuple[asyncio.Future[Any], Callable[[], Any]]"


class HandlerThreads:
    """Runs functions in at most `most` threads, which begin when they are needed.

    A thread cannot be interrupted: a function that is not waited for any more keeps its thread
    until it returns.

    Args:
        most: how many threads.
        loop: of those who wait.
    """

    def __init__(self, most: int, loop: asyncio.AbstractEventLoop) -> None:
        self._most = most
        self._loop = loop
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._threads = 0
        self._free = 0
        """Threads that wait, less the tasks that wait for one. The loop alone counts."""

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run a function in a thread, with the caller's context; return or raise what it does."""
        context = contextvars.copy_context()
        future = self._loop.create_future()
        if self._free <= 0 and self._threads < self._most:
            self._threads += 1
            name = f"platform-events-handler-{self._threads}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        else:
            self._free -= 1
        self._tasks.put((future, lambda: context.run(function, *args)))
        return await future

    def close(self) -> None:
        """Let all threads end that are free, or will be."""
        for _ in range(self._threads):
            self._tasks.put(None)

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, call = task
            result, error = None, None
            try:
                result = call()
            except BaseException as raised:  # noqa: BLE001 - it is raised where it is waited for
                error = raised
            try:
                self._loop.call_soon_threadsafe(self._settle, future, result, error)
            except RuntimeError:
                # The loop is closed: nobody waits any more.
                return

    def _settle(
        self, future: asyncio.Future[Any], result: Any, error: BaseException | None
    ) -> None:
        self._free += 1
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, Exception):
            future.set_exception(error)
        else:
            # What would end a thread, such as SystemExit, is a failure of the handler here.
            future.set_exception(RuntimeError(f"the handler raised {error!r}"))
