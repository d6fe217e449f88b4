"""How our Kafka clients are configured and made."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import KafkaException

from platform_events.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from platform_events.kafka.health import Health
    from platform_events.settings import Settings

_Client = TypeVar("_Client")
_FIXED = {
    "request.required.acks": "events would be lost when a leader fails",
    "acks": "events would be lost when a leader fails",
    "auto.offset.reset": "a subscriber would skip or repeat events without notice",
    "enable.auto.commit": "positions are replay IDs",
    "enable.auto.offset.store": "positions are replay IDs",
    "enable.idempotence": "a retry would store an event twice or out of order",
    "enable.partition.eof": "a subscriber would not notice the end of its stream",
    "error_cb": "it tells whether an unacknowledged event may be in the log",
    "isolation.level": "events of aborted transactions would be delivered",
    "logger": "configure the Python logger platform_events.kafka",
    "partitioner": "events of one key would move to another partition",
    "transactional.id": "writers are fenced by it",
}
"""librdkafka properties that carry what the bus guarantees, with what would break."""
_OWN_SETTING = {
    "bootstrap.servers": "bootstrap_servers",
    "compression.type": "compression",
    "compression.codec": "compression",
    "delivery.timeout.ms": "delivery_timeout",
    "message.timeout.ms": "delivery_timeout",
    "linger.ms": "linger",
    "queue.buffering.max.ms": "linger",
    "queue.buffering.max.messages": "publish_buffer",
    "queue.buffering.max.kbytes": "publish_buffer",
}
"""librdkafka properties that have a setting of ours."""

_IDEMPOTENT_ONLY = "enable.gapless.guarantee"
"""The one property that other clients than idempotent producers refuse instead of ignoring."""

_logger = logging.getLogger("platform_events.kafka")


class _Relevant(logging.Filter):
    """Drops warnings that a property passed through is for another kind of client."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "CONFWARN" not in record.getMessage()


_logger.addFilter(_Relevant())


def client_config(
    settings: Settings, health: Health, properties: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a librdkafka configuration: ours, then the user's properties, then `properties`.

    Raises:
        ConfigurationError: a property of the user's would break what the bus guarantees.
    """
    for name in settings.kafka:
        if name in _FIXED:
            raise ConfigurationError(f"Kafka property {name} cannot be set: {_FIXED[name]}")
        if name in _OWN_SETTING:
            raise ConfigurationError(
                f"Kafka property {name} cannot be set directly: use the setting "
                f"{_OWN_SETTING[name]} (PLATFORM_EVENTS_{_OWN_SETTING[name].upper()})"
            )
    for name in settings.kafka.keys() & properties.keys():
        if settings.kafka[name] != properties[name]:
            raise ConfigurationError(f"Kafka property {name} cannot be set: the bus sets it itself")
    properties_of_user = settings.kafka
    if "enable.idempotence" not in properties:
        properties_of_user = {
            name: value for name, value in settings.kafka.items() if name != _IDEMPOTENT_ONLY
        }
    timeout_ms = int(settings.request_timeout * 1000)
    return {
        "client.id": "platform-events",
        "socket.connection.setup.timeout.ms": max(1000, min(timeout_ms, 30_000)),
        "reconnect.backoff.max.ms": 2_000,
        **properties_of_user,
        **properties,
        "bootstrap.servers": settings.bootstrap_servers,
        "error_cb": health.note,
        "logger": _logger,
    }


def refuse_property(error: Exception) -> ConfigurationError:
    """Return our error for a configuration that librdkafka does not take."""
    return ConfigurationError(
        f"Kafka properties (PLATFORM_EVENTS_KAFKA__...) are not accepted: {error}"
    )


def make_client(
    kind: Callable[[dict[str, Any]], _Client],
    settings: Settings,
    health: Health,
    properties: Mapping[str, Any],
) -> _Client:
    """Return a client of librdkafka with these properties and the user's.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
    """
    try:
        return kind(client_config(settings, health, properties))
    except (KafkaException, TypeError, ValueError) as error:
        raise refuse_property(error) from error
