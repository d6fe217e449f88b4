"""What long-running commands have in common: a log, an end by signal, answers to probes."""

from __future__ import annotations

import gc
import logging
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from platform_events.cli.terminal.interruption import stop_event
from platform_events.cli.terminal.messages import log_messages, note
from platform_events.errors import ServiceError
from platform_events.wording import missing_package

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Iterator

    from platform_events.process_health import ProcessHealth
    from platform_events.settings import Settings

_RETRY_SECONDS = 1.0
_COLLECT_AFTER = 20_000
"""Objects made between two garbage collections: those of the events that may wait. Handlers of a
worker may make cycles, which stay so long; their module may set it otherwise."""
_logger = logging.getLogger("platform_events")


def begin_long_run() -> threading.Event:
    """Log from now on, and return what SIGTERM and Ctrl-C set; a second one interrupts."""
    log_messages()
    return stop_event(insistently=True)


def collect_rarely(objects: int = _COLLECT_AFTER) -> None:
    """Have the garbage collector wait for that many objects more, and leave those of now alone.

    Events come and go by the thousands and hold no cycles: to look through all that wait for their
    turn, again and again, costs a fifth of what workers and services do (measured).
    """
    gc.freeze()
    gc.set_threshold(objects)


@contextmanager
def answering_probes(
    settings: Settings,
    health: ProcessHealth,
    stop: threading.Event,
    metrics: Callable[[], bytes] | None = None,
) -> Iterator[None]:
    """Answer probes for the length of a `with`, if the settings have a port for that.

    Args:
        settings: with the port.
        health: what is answered.
        stop: ends waiting for the port.
        metrics: returns them as text; None: they are those of this process.

    Raises:
        ServiceError: the port was in use for 30 s, or packages are missing.
    """
    with ExitStack() as exits:
        if settings.health_port is not None:
            try:
                from platform_events.service.http.probes import make_probes
                from platform_events.service.http.thread import HttpThread
            except ImportError as error:
                raise ServiceError(
                    missing_package("the setting health_port", error.name, "service")
                ) from None
            listener = _listen(settings.health_host, settings.health_port, health, stop)
            if listener is not None:
                probes = make_probes(health, has_metrics=settings.metrics, metrics=metrics)
                exits.enter_context(HttpThread(probes, listener))
                note(f"answering probes at port {settings.health_port}")
        yield


def _listen(
    host: str, port: int, health: ProcessHealth, stop: threading.Event
) -> socket.socket | None:
    """Return the socket, as soon as nobody else has the port; None if stopped meanwhile."""
    from platform_events.service.listener import listen

    has_told = False
    while not stop.is_set():
        try:
            return listen(port, host, exactly=True, setting="PLATFORM_EVENTS_HEALTH_{}")
        except ServiceError as error:
            health.raise_if_refused(error)
            if not has_told:
                _logger.warning("waiting: %s", error)
                has_told = True
            stop.wait(_RETRY_SECONDS)
    return None
