"""The embedded Kafka: a real broker on this machine, for development and tests."""

from platform_events.kafka.local.broker import LocalKafka

__all__ = ["LocalKafka"]
