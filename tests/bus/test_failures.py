"""What publishers and subscribers get when no cluster is there, or it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from platform_events.bus.bus import EventBus
from platform_events.bus.values import PublishStatus, Start
from platform_events.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerUnreachableError,
    ConfigurationError,
)
from platform_events.kafka.health import Health, unreachable
from platform_events.kafka.local import LocalKafka
from platform_events.settings import Settings
from tests.bus.orders import order_ids
from tests.support import KEYED, ORDER, apply_texts, topic_of

EVENT = "Order_Placed__e"
PERSISTED, NOT_PERSISTED = PublishStatus.PERSISTED, PublishStatus.NOT_PERSISTED


class TestNoBroker:
    def test_the_error_names_the_address_and_what_to_do(self) -> None:
        bus = EventBus(bootstrap_servers="127.0.0.1:1", tenant="shop", request_timeout=5)
        with pytest.raises(BrokerUnreachableError) as caught:
            bus.publish(EVENT, {"order_id": "A"})
        message = str(caught.value)
        assert "127.0.0.1:1" in message
        assert "platform-events up" in message
        assert "default" not in message
        assert "\n" not in message
        with pytest.raises(BrokerUnreachableError):
            bus.subscribe(EVENT)
        bus.close()

    def test_it_says_when_the_address_is_only_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PLATFORM_EVENTS_BOOTSTRAP_SERVERS", raising=False)
        assert "(the default; PLATFORM_EVENTS_BOOTSTRAP_SERVERS sets another)" in str(
            unreachable("asking", Health(Settings().bootstrap_servers))
        )

    @pytest.mark.parametrize(
        ("overrides", "named"),
        [
            ({"tenant": "a.b"}, "tenant"),
            ({"linger": -1}, "PLATFORM_EVENTS_LINGER"),
            ({"nonsense": 1}, "nonsense"),
        ],
    )
    def test_settings_are_checked(self, overrides: dict[str, Any], named: str) -> None:
        with pytest.raises(ConfigurationError, match=named):
            EventBus(**overrides)

    @pytest.mark.parametrize("kafka", [{"no.such.property": "1"}, {"security.protocol": "MAGIC"}])
    def test_properties_that_librdkafka_does_not_know_are_refused(self, kafka: Any) -> None:
        with pytest.raises(ConfigurationError, match="PLATFORM_EVENTS_KAFKA__"):
            EventBus(kafka=kafka).publish(EVENT, {"order_id": "A"})


@pytest.fixture(scope="module")
def secured() -> Iterator[LocalKafka]:
    with LocalKafka(users={"alice": "alice-secret", "bob": "bob-secret"}) as kafka:
        yield kafka


def as_user(secured: LocalKafka, tenant: str, user: str, password: str = "") -> Settings:
    return Settings(
        bootstrap_servers=secured.sasl_bootstrap_servers,
        tenant=tenant,
        request_timeout=5,
        kafka={
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": password or f"{user}-secret",
        },
    )


def allow(secured: LocalKafka, settings: Settings, name: str, *operations: AclOperation) -> None:
    client = AdminClient({"bootstrap.servers": secured.bootstrap_servers})
    user = f"User:{settings.kafka['sasl.username']}"
    bindings = [
        AclBinding(ResourceType.TOPIC, topic_of(settings, name), ResourcePatternType.LITERAL,
                   user, "*", operation, AclPermissionType.ALLOW)
        for operation in operations
    ]  # fmt: skip
    for future in client.create_acls(bindings).values():
        future.result()


class TestRefusals:
    def test_wrong_credentials(self, secured: LocalKafka, tenant: str) -> None:
        with EventBus(as_user(secured, tenant, "alice", "wrong")) as bus:
            with pytest.raises(AuthenticationError) as caught:
                bus.publish(EVENT, {"order_id": "A"})
            assert "wrong" not in str(caught.value)
            with pytest.raises(AuthenticationError):
                bus.subscribe(EVENT)

    def test_a_topic_that_may_not_be_written_fails_alone(
        self, secured: LocalKafka, tenant: str, tmp_path: Path
    ) -> None:
        admin = Settings(bootstrap_servers=secured.bootstrap_servers, tenant=tenant)
        apply_texts(admin, tmp_path / "schemas", ORDER, KEYED)
        settings = as_user(secured, tenant, "alice")
        read = (AclOperation.READ, AclOperation.DESCRIBE)
        allow(secured, settings, "catalog", *read)
        allow(secured, settings, EVENT, *read, AclOperation.WRITE)
        allow(secured, settings, "Reading_Taken__e", AclOperation.DESCRIBE)
        with EventBus(settings) as bus:
            assert bus.publish(EVENT, {"order_id": "A"}).status is PERSISTED
            refused = bus.publish_many("Reading_Taken__e", [{"sensor": "s", "value": 1}] * 3)
            assert [type(result.error) for result in refused] == [AuthorizationError] * 3
            assert {result.status for result in refused} == {NOT_PERSISTED}
            assert bus.publish(EVENT, {"order_id": "B"}).status is PERSISTED
            assert order_ids(bus) == ["A", "B"]
            with pytest.raises(AuthorizationError):
                next(bus.subscribe("Reading_Taken__e", start=Start.EARLIEST))

    def test_a_user_who_may_write_nothing_is_told_so(
        self, secured: LocalKafka, tenant: str, tmp_path: Path
    ) -> None:
        """Without WRITE on any topic already the producer's start fails, for good."""
        admin = Settings(bootstrap_servers=secured.bootstrap_servers, tenant=tenant)
        apply_texts(admin, tmp_path / "schemas", ORDER)
        settings = as_user(secured, tenant, "bob")
        allow(secured, settings, "catalog", AclOperation.READ)
        allow(secured, settings, EVENT, AclOperation.READ)
        with EventBus(settings) as bus:
            for _ in range(2):
                (result,) = bus.publish_many(EVENT, [{"order_id": "A"}])
                assert result.status is not PERSISTED
                assert isinstance(result.error, AuthorizationError)
            assert order_ids(bus) == []
