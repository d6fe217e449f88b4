"""How our Kafka clients are configured and made."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from platform_events.errors import ConfigurationError, UsageError
from platform_events.kafka.properties import check_properties

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from platform_events.kafka.health import Health
    from platform_events.settings import Settings

_Client = TypeVar("_Client")
_IDEMPOTENT_ONLY = "enable.gapless.guarantee"
"""The one property that other clients than idempotent producers refuse instead of ignoring."""

_GREEN_THREADS = (
    ("gevent.monkey", "is_module_patched", "threading", "gevent.monkey.patch_all"),
    ("eventlet.patcher", "is_monkey_patched", "thread", "eventlet.monkey_patch"),
)
"""Libraries that replace threads: module, its question, what to ask for, what replaces them."""

_logger = logging.getLogger("platform_events.kafka")


_IRRELEVANT = ("CONFWARN", KafkaError(KafkaError.UNRELEASED_INSTANCE_ID).str())
"""A property that is passed through is for another kind of client; and the place of a static member
that was killed is free only in a moment, for which `members` waits."""


class _Relevant(logging.Filter):
    """Drops what the client warns of and is well known."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(irrelevant in message for irrelevant in _IRRELEVANT)


_logger.addFilter(_Relevant())


def client_config(
    settings: Settings,
    health: Health,
    properties: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a librdkafka configuration: `defaults`, the user's properties, then `properties`.

    Raises:
        ConfigurationError: a property of the user's would break what the bus guarantees.
    """
    passed = check_properties(settings.kafka)
    if "enable.idempotence" not in properties:
        passed.pop(_IDEMPOTENT_ONLY, None)
    timeout_ms = int(settings.request_timeout * 1000)
    return {
        "client.id": "platform-events",
        "socket.connection.setup.timeout.ms": max(1000, min(timeout_ms, 30_000)),
        "reconnect.backoff.max.ms": 2_000,
        **(defaults or {}),
        **passed,
        **properties,
        # Brokers make what a producer asks for by default, and librdkafka lets them.
        "allow.auto.create.topics": False,
        "bootstrap.servers": settings.bootstrap_servers,
        "error_cb": health.note,
        "logger": _logger,
    }


def refuse_property(error: Exception) -> ConfigurationError:
    """Return our error for a configuration that librdkafka does not take."""
    cause = error.args[0] if isinstance(error, KafkaException) else error
    reason = " ".join((cause.str() if isinstance(cause, KafkaError) else str(cause)).split())
    return ConfigurationError(
        f"Kafka properties (PLATFORM_EVENTS_KAFKA__...) are not accepted: {reason}"
    )


def make_client(
    kind: Callable[[dict[str, Any]], _Client],
    settings: Settings,
    health: Health,
    properties: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> _Client:
    """Return a client of librdkafka.

    Args:
        kind: which class of client.
        settings: with the user's properties.
        health: is told the client's errors.
        properties: what the client has to be; nothing replaces them.
        defaults: what the user's properties replace.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
    """
    try:
        return kind(client_config(settings, health, properties, defaults))
    except (KafkaException, TypeError, ValueError) as error:
        raise refuse_property(error) from error


def refuse_green_threads() -> None:
    """Refuse to wait for ever where nothing else could run meanwhile.

    Raises:
        UsageError: a library has replaced threads by its own.
    """
    for module, question, threads, patch in _GREEN_THREADS:
        if module in sys.modules and getattr(sys.modules[module], question)(threads):
            raise UsageError(
                f"{module.partition('.')[0]} has replaced threading, and while the Kafka client "
                f"waits for events nothing else would run: call {patch}(thread=False), or follow "
                "streams in another process"
            )
