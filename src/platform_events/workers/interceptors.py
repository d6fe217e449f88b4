"""Who else is told about each handling: for tracing and metrics of one's own."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.event import Event
    from platform_events.workers.context import Context

Outcome: TypeAlias = Literal["ok", "failed", "retried", "rejected", "dead_lettered"]
_HOOKS = ("before", "after", "outcome")
_logger = logging.getLogger("platform_events.worker")


class Interceptor:
    """Is told about each handling. Override what is of interest; the others cost nothing.

    All are called on the worker's event loop and have to return at once. What `before` sets in
    `contextvars`, the handler and `after` see; `after` has to take it back. What an interceptor
    raises is logged and changes nothing.
    """

    def before(self, events: Sequence[Event[Any]], context: Context) -> None:
        """Take note that a handler is about to be called.

        Args:
            events: the one that it gets, or all of its list.
            context: of the attempt, as the handler gets it.
        """

    def after(
        self, events: Sequence[Event[Any]], context: Context, error: Exception | None
    ) -> None:
        """Take note that a handler has ended.

        Args:
            events: those that it got.
            context: of the attempt.
            error: what it raised; None: it went well.
        """

    def outcome(
        self, events: Sequence[Event[Any]], outcome: Outcome, error: Exception | None
    ) -> None:
        """Take note of what became of events.

        Args:
            events: those that it became of; of a list that failed, some of it.
            outcome: `ok`; `retried` (there is another attempt later); `dead_lettered`; `rejected`
                (a dead letter, since the handler raised `Reject`); `failed` (it stops the worker).
            error: what the handler raised; None: nothing.
        """


class Interceptors:
    """All interceptors of a worker.

    Each is told before a handler in the order in which they were added, and in the reverse order
    afterwards, so that they nest.
    """

    def __init__(self) -> None:
        self._before: tuple[Callable[..., Any], ...] = ()
        self._after: tuple[Callable[..., Any], ...] = ()
        self._outcome: tuple[Callable[..., Any], ...] = ()
        self._complaints: dict[Any, str] = {}
        self.has_any = False
        """Whether there is one to be told anything."""

    def add(self, interceptor: object) -> None:
        """Tell this one too.

        Args:
            interceptor: any object that has one or more of the methods of `Interceptor`.

        Raises:
            UsageError: it has none of them, is a class, or one of them is asynchronous.
        """
        kind = type(interceptor).__name__
        if isinstance(interceptor, type):
            raise UsageError(
                f"interceptor {interceptor.__name__} is a class: give an instance, as in "
                f"app.interceptor({interceptor.__name__}())"
            )
        hooks = {name: _hook(interceptor, name) for name in _HOOKS}
        if not any(hasattr(interceptor, name) for name in _HOOKS):
            raise UsageError(
                f"interceptor {kind} has none of the methods before, after and outcome: derive it "
                "from platform_events.Interceptor"
            )
        for name, hook in hooks.items():
            if hook is not None and inspect.iscoroutinefunction(hook):
                raise UsageError(
                    f"{kind}.{name} is async, and interceptors are called without waiting: make it "
                    "a plain method that returns at once"
                )
        self._before += _given(hooks["before"])
        self._after = _given(hooks["after"]) + self._after
        self._outcome = _given(hooks["outcome"]) + self._outcome
        self.has_any = bool(self._before or self._after or self._outcome)

    def before(self, events: Sequence[Event[Any]], context: Context) -> None:
        """Tell all that a handler is about to be called."""
        for hook in self._before:
            self._call(hook, events, context)

    def after(
        self, events: Sequence[Event[Any]], context: Context, error: Exception | None
    ) -> None:
        """Tell all that a handler has ended."""
        for hook in self._after:
            self._call(hook, events, context, error)

    def outcome(
        self, events: Sequence[Event[Any]], outcome: Outcome, error: Exception | None
    ) -> None:
        """Tell all what became of events."""
        for hook in self._outcome:
            self._call(hook, events, outcome, error)

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> None:
        try:
            hook(*arguments)
        except Exception as error:
            # No event may fail by who only looks on.
            complaint = f"{getattr(hook, '__qualname__', hook)} raised {error!r}"
            # Once while it lasts, or it would be said for each event.
            if self._complaints.get(hook) != complaint:
                self._complaints[hook] = complaint
                _logger.exception("interceptor %s", complaint)


def _hook(interceptor: object, name: str) -> Callable[..., Any] | None:
    """Return a method of an interceptor; None if it has none that does anything."""
    method: Any = getattr(interceptor, name, None)
    if method is None or getattr(method, "__func__", None) is getattr(Interceptor, name):
        return None
    if not callable(method):
        raise UsageError(f"interceptor {type(interceptor).__name__}: {name} is no method")
    hook: Callable[..., Any] = method
    return hook


def _given(hook: Callable[..., Any] | None) -> tuple[Callable[..., Any], ...]:
    return () if hook is None else (hook,)
