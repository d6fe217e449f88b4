"""Members of a group on clusters that refuse, are set otherwise, or do not answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from platform_events.kafka.local import LocalKafka
from platform_events.settings import Settings
from tests.support import admin_client

ALL = {0, 1, 2, 3}
USER = "worker"


@pytest.fixture(scope="module")
def secured() -> Iterator[LocalKafka]:
    with LocalKafka(users={USER: "secret"}) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def strict() -> Iterator[LocalKafka]:
    """One whose groups are as on a broker that nobody has set, and that takes less metadata."""
    properties = {
        "group.consumer.min.session.timeout.ms": "45000",
        "group.consumer.min.heartbeat.interval.ms": "5000",
        "group.consumer.heartbeat.interval.ms": "5000",
        "offset.metadata.max.bytes": "100",
    }
    with LocalKafka(properties=properties) as kafka:
        yield kafka


def as_user(settings: Settings, kafka: LocalKafka) -> Settings:
    login = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": USER,
        "sasl.password": "secret",
    }
    return settings.model_copy(
        update={"bootstrap_servers": kafka.sasl_bootstrap_servers, "kafka": login}
    )


def on(settings: Settings, kafka: LocalKafka) -> Settings:
    return settings.model_copy(update={"bootstrap_servers": kafka.bootstrap_servers})


def allow(settings: Settings, kind: ResourceType, name: str, operation: AclOperation) -> None:
    binding = AclBinding(
        kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation,
        AclPermissionType.ALLOW,
    )  # fmt: skip
    admin_client(settings).create_acls([binding])[binding].result(10)
