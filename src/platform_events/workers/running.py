"""What running a worker takes besides it: a connection, an event loop, and an end by signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from platform_events.workers.sharing import shared_bus

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from platform_events.settings import Settings
    from platform_events.workers.app import WorkerApp
    from platform_events.workers.runtime import Runtime

_SIGNAL_STATUS = 128


@contextmanager
def opened_runtime(
    app: WorkerApp,
    settings: Settings,
    stop: threading.Event,
    *,
    instance_id: str | None = None,
    grace: float | None = None,
) -> Iterator[Runtime]:
    """Give what runs a worker, on a connection that all workers of the process share.

    Args:
        app: the worker.
        settings: which cluster and tenant.
        stop: ends it when it is set.
        instance_id: instead of the worker's own.
        grace: instead of the worker's own.
    """
    # Not for whoever only declares a worker.
    from platform_events.workers.runtime import Runtime

    with shared_bus(settings) as bus:
        yield Runtime(app, bus, stop=stop, instance_id=instance_id, grace=grace)


class _Threads(ThreadPoolExecutor):
    """The loop's own threads, in which handlers may run what waits. Their end is not waited for."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        super().shutdown(wait=False, cancel_futures=cancel_futures)


def run_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine as `asyncio.run` does, without waiting for threads at the end."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(_Threads(thread_name_prefix="asyncio"))
        runner.run(coroutine)


@contextmanager
def drain_on_signals(
    stop: threading.Event,
    *,
    insistently: bool = False,
    before_leaving: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `stop`; whichever comes second ends the process at once.

    It ends with the status that shells use, 130 or 143, and waits for nothing: neither for threads
    nor for what is registered to be done at exit.

    Args:
        stop: is set by the first one.
        insistently: also where somebody else handles them; else these are left alone.
        before_leaving: is called by the second one.
    """
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        received.append(number)
        if len(received) == 1:
            stop.set()
            return
        before_leaving()
        for stream in (sys.stdout, sys.stderr):
            # Whoever was interrupted may be writing just now.
            with suppress(Exception):
                stream.flush()
        os._exit(_SIGNAL_STATUS + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    unhandled = (signal.SIG_DFL, signal.default_int_handler)
    taken = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if (handler := signal.getsignal(number)) in unhandled or insistently
    }
    for number in taken:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
