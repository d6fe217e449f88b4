"""Worker: a subscription, and what handles its events."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar, overload

from platform_events.errors import UsageError
from platform_events.settings import Settings
from platform_events.workers.app import WorkerApp
from platform_events.workers.running import drain_on_signals, opened_runtime, run_loop
from platform_events.workers.signatures import describe_handler

if TYPE_CHECKING:
    from types import FrameType

_Handler = TypeVar("_Handler", bound=Callable[..., Any])
_Interceptor = TypeVar("_Interceptor")


class Worker(WorkerApp):
    """Handles the events of a stream, each at least once and those of one key in order.

    Any number of processes run the same worker and share the stream's partitions; each handles
    `concurrency` events at a time. What is done is kept in Kafka, so that a process can be killed
    and replaced.

    Args:
        name: of the subscription: `[a-z0-9-]`, at most 64 characters. All who use it share it.
        stream: `/event/Name`, or `Name`. It stays what it was when the subscription was made.
        concurrency: handlers that run at a time in one process.
        order: `key`: events of one key one after the other; `none`: nothing waits for anything.
        start: where a new subscription begins, as for `EventBus.subscribe`; it never counts again.
        retry: what follows when a handler fails; None is `RetryPolicy()`.
        on_failure: what becomes of an event whose attempts are used up: `dead-letter` keeps it as a
            dead letter; `stop-key` also parks later events of its key; `stop-worker` ends the
            worker, and the event comes first when it runs again.
        on_unhandled: what becomes of an event without a handler: `fail` ends the worker, at the
            start if it shows then; `skip`; `dead-letter`.
        batch_size: events that a handler which takes lists gets at most at a time.
        batch_wait: seconds that such a list waits for more events.
        max_uncommitted: events of a partition that are done and not known to the cluster as such,
            at most: so many may be handled again after a kill.
        max_bytes: of events that wait in one process, about.
        grace: seconds that handlers may take to finish when the worker is to end.
        group_protocol: `consumer` or `classic`, by their names in Kafka; `auto` is the first where
            a death is noticed within 6 s by it, else the second.
        instance_id: of a static member: it gets its partitions back if it returns within 6 s.
            It has to differ between processes.

    Raises:
        UsageError: an argument is not allowed.
    """

    _is_running = False

    @overload
    def handler(self, type: _Handler, *, model: Any = None) -> _Handler: ...

    @overload
    def handler(
        self, type: str | None = None, *, model: Any = None
    ) -> Callable[[_Handler], _Handler]: ...

    def handler(self, type: Any = None, *, model: Any = None) -> Any:  # noqa: A002 - the users' word
        """Have a function handle events: `@app.handler`, or with what follows in parentheses.

        It is a coroutine function, or a plain one, which runs in a thread; of `(event, context)` or
        `(event)`. If its first parameter is annotated with `Event[Model]`, payloads are instances
        of that model; with `list[Event[Model]]`, it gets lists of up to `batch_size` events. It
        raises `Retry` or `Reject` to say what follows; whatever else it raises is judged by the
        retry policy.

        Args:
            type: name of the event that it is for; None: all events that have no other handler.
            model: a dataclass or pydantic model for payloads, instead of what the annotation says.

        Raises:
            UsageError: the function cannot handle events, or there is one for these already.
        """
        if type is None or isinstance(type, str):

            def register(function: _Handler) -> _Handler:
                self._register(function, type, model, inspect.currentframe())
                return function

            return register
        self._register(type, None, model, inspect.currentframe())
        return type

    def _register(
        self, function: Any, type_: str | None, model: Any, frame: FrameType | None
    ) -> None:
        if not callable(function):
            raise UsageError(
                f"a handler is a function, and {function!r:.60} is none: put @app.handler before "
                "it, or @app.handler('Order_Placed__e') for one type of event"
            )
        caller = frame.f_back if frame is not None else None
        self.handlers.add(describe_handler(function, type_, model, caller))

    def interceptor(self, interceptor: _Interceptor) -> _Interceptor:
        """Have an object told about each handling, and return it.

        Args:
            interceptor: an `Interceptor`, or any object that has some of its methods.

        Raises:
            UsageError: it has none of them, or one is asynchronous.
        """
        self.interceptors.add(interceptor)
        return interceptor

    def run(self, settings: Settings | None = None) -> None:
        """Handle events until `stop()`, SIGINT or SIGTERM; what is under way is finished first.

        A second signal ends the process at once, with status 130 or 143. Signals that somebody else
        handles are left alone, and all of them in other threads than the main one.

        Args:
            settings: which cluster and tenant; None reads them from the environment.

        Raises:
            WorkerStoppedError: `on_failure` says so, or the subscription or its stream was deleted.
            UsageError: a handler is missing or does not fit the stream, or a loop runs here.
            SubscriptionConflictError: the subscription has another stream or order.
            PlatformEventsError: only a person can end what is in the way, and nobody did for 30 s.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            with drain_on_signals(self.stopping):
                run_loop(self.run_async(settings))
            return
        raise UsageError("run() is for programs without an event loop: await run_async() here")

    async def run_async(self, settings: Settings | None = None) -> None:
        """Handle events on the running event loop until `stop()`; see `run`.

        Signals are the caller's. To cancel it stops it too, and raises once what is under way is
        finished; to cancel it again ends it at once.
        """
        self.check()
        if self._is_running:
            raise UsageError(f"worker {self.name} runs already: make another Worker to run two")
        self._is_running = True
        try:
            with ExitStack() as exits:
                runtime = exits.enter_context(
                    opened_runtime(self, settings or Settings(), self.stopping)
                )
                # Closing may wait for the cluster, and the loop is others' too.
                left = exits.pop_all()
                try:
                    await runtime.run()
                finally:
                    await asyncio.to_thread(left.close)
        finally:
            self._is_running = False
            self.stopping.clear()

    def stop(self) -> None:
        """Have the worker end when what is under way is finished, within `grace`.

        Any thread may call it, and handlers too. A run that has yet to begin ends at once.
        """
        self.stopping.set()
