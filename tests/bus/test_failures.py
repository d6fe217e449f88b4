"""What publishers and subscribers get when the cluster fails or refuses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
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
from platform_events.bus.values import PublishResult, PublishStatus, Start
from platform_events.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    BrokerUnreachableError,
    ConfigurationError,
    PublishError,
)
from platform_events.kafka.health import Health, unreachable
from platform_events.kafka.local import LocalKafka
from platform_events.settings import Settings
from tests.bus.orders import order_ids
from tests.support import KEYED, ORDER, apply_texts, topic_of, wait_until

EVENT = "Order_Placed__e"
PERSISTED, UNKNOWN = PublishStatus.PERSISTED, PublishStatus.UNKNOWN
NOT_PERSISTED = PublishStatus.NOT_PERSISTED


def payloads(count: int) -> Iterator[dict[str, Any]]:
    return ({"order_id": f"A-{number}"} for number in range(count))


def publish_first(bus: EventBus) -> None:
    """Publish, whatever time-out the bus has: a busy machine may need longer."""
    wait_until(lambda: bus.publish_many(EVENT, [{"order_id": "first"}])[0].status is PERSISTED)


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
def own_kafka() -> Iterator[LocalKafka]:
    """A broker that these tests kill, pause and restart."""
    with LocalKafka() as kafka:
        yield kafka


@pytest.fixture
def own_settings(own_kafka: LocalKafka, tenant: str, tmp_path: Path) -> Settings:
    if not own_kafka.pids:  # a test before has failed
        own_kafka.restart()
    settings = Settings(
        bootstrap_servers=own_kafka.bootstrap_servers,
        tenant=tenant,
        delivery_timeout=60,
        request_timeout=30,
    )
    apply_texts(settings, tmp_path / "schemas", ORDER)
    return settings


class TestBrokerTrouble:
    def test_killed_while_publishing_and_back_later(
        self, own_kafka: LocalKafka, own_settings: Settings
    ) -> None:
        with EventBus(own_settings) as bus:
            with bus.subscribe(EVENT) as live:
                futures = [bus.submit(EVENT, payload) for payload in payloads(2000)]
                own_kafka.kill()
                futures += [bus.submit(EVENT, {"order_id": f"B-{n}"}) for n in range(2000)]
                own_kafka.restart()
                results = [future.result(60) for future in futures]
                assert {result.status for result in results} == {PERSISTED}
                delivered = [next(live).event_id for _ in range(4000)]
            assert delivered == [result.event_id for result in results]
            assert len(order_ids(bus)) == len(set(order_ids(bus))) == 4000

    def test_dead_for_good_gives_results_and_bounded_memory(
        self, own_kafka: LocalKafka, own_settings: Settings
    ) -> None:
        """The buffer fills, further calls wait, and at the time-out every event has a result."""
        settings = own_settings.model_copy(
            update={"delivery_timeout": 2.0, "publish_buffer": 500_000, "close_timeout": 0.5}
        )
        bus = EventBus(settings)
        publish_first(bus)
        own_kafka.kill()
        results = bus.publish_many(EVENT, payloads(1200))
        assert {result.status for result in results} == {UNKNOWN}
        assert {type(result.error) for result in results} <= {BrokerUnreachableError, BrokerError}
        assert all(result.replay_id is None for result in results)
        with pytest.raises(PublishError, match="UNKNOWN") as caught:
            bus.publish(EVENT, {"order_id": "late"})
        assert caught.value.retriable
        late = bus.submit(EVENT, {"order_id": "later"})
        bus.close()
        assert late.result(0).status is UNKNOWN
        assert "the bus was closed" in str(late.result(0).error)
        own_kafka.restart()

    def test_an_event_that_a_frozen_broker_may_have_is_unknown_not_refused(
        self, own_kafka: LocalKafka, own_settings: Settings
    ) -> None:
        settings = own_settings.model_copy(update={"delivery_timeout": 2.0})
        with EventBus(settings) as bus:
            publish_first(bus)
            own_kafka.pause()
            try:
                results = bus.publish_many(EVENT, payloads(10))
            finally:
                own_kafka.resume()
            assert {result.status for result in results} == {UNKNOWN}
            again: list[PublishResult] = []

            def is_persisted() -> bool:
                with suppress(PublishError):
                    again.append(
                        bus.publish(EVENT, {"order_id": "A-0"}, event_id=results[0].event_id)
                    )
                return bool(again)

            wait_until(is_persisted)
            assert again[0].status is PERSISTED
            assert again[0].event_id == results[0].event_id

    def test_a_subscriber_goes_on_after_a_restart(
        self, own_kafka: LocalKafka, own_settings: Settings
    ) -> None:
        with EventBus(own_settings) as bus, bus.subscribe(EVENT) as subscription:
            bus.publish(EVENT, {"order_id": "before"})
            own_kafka.restart()
            bus.publish(EVENT, {"order_id": "after"})
            assert [next(subscription).payload["order_id"] for _ in range(2)] == [
                "before", "after",
            ]  # fmt: skip

    def test_reading_to_the_end_of_a_dead_cluster_is_an_error(
        self, own_kafka: LocalKafka, own_settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also when the client said so before what it had fetched was read."""
        unheard = property(lambda _: False, lambda *_: None)
        monkeypatch.setattr(Health, "brokers_down", unheard, raising=False)
        settings = own_settings.model_copy(update={"request_timeout": 3.0})
        with EventBus(settings) as bus:
            # More than is fetched at once, and not compressible.
            bus.publish_many(EVENT, ({"order_id": os.urandom(50_000).hex()} for _ in range(400)))
            subscription = bus.subscribe(EVENT, follow=False)
            next(subscription)
            own_kafka.kill()
            with pytest.raises(BrokerUnreachableError):
                list(subscription)
            subscription.close()
        own_kafka.restart()

    def test_a_fatal_error_ends_one_producer_and_not_the_bus(
        self, own_kafka: LocalKafka, own_settings: Settings
    ) -> None:
        """With gapless guarantee librdkafka raises a real fatal error at a time-out."""
        settings = own_settings.model_copy(
            update={"delivery_timeout": 2.0, "kafka": {"enable.gapless.guarantee": True}}
        )
        with EventBus(settings) as bus:
            publish_first(bus)
            own_kafka.pause()
            try:
                results = bus.publish_many(EVENT, payloads(50))
            finally:
                own_kafka.resume()
            assert {result.status for result in results} == {UNKNOWN}
            wait_until(lambda: bus.publish_many(EVENT, payloads(1))[0].status is PERSISTED)
            assert bus.publish(EVENT, {"order_id": "after"}).status is PERSISTED


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
                (result,) = bus.publish_many(EVENT, payloads(1))
                assert result.status is not PERSISTED
                assert isinstance(result.error, AuthorizationError)
            assert order_ids(bus) == []
