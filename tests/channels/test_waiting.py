"""A router waits for what is not there, is ready when it routes, and ends when it is refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from prometheus_client import REGISTRY

from platform_events import process_health
from platform_events.bus.bus import EventBus
from platform_events.channels.router import Router
from platform_events.channels.thread import RouterThread
from platform_events.definitions.model import Definitions
from platform_events.errors import (
    AuthenticationError,
    AuthorizationError,
    CatalogCorruptError,
    PlatformEventsError,
)
from platform_events.kafka.local import LocalKafka
from platform_events.metrics import expose_metrics
from platform_events.settings import Settings
from platform_events.testing import KafkaBroker
from platform_events.testing.proxy import Cut
from platform_events.testing.tenancy import Tenancy
from tests.channels.routing import Define, publish
from tests.channels.samples import NAME, A, B, channel
from tests.support import (
    admin_client,
    apply_texts,
    delete_topic,
    load,
    produce_to,
    wait_until,
)

EMPTY = Definitions("default", {}, {})


@contextmanager
def running(settings: Settings) -> Iterator[Router]:
    router = Router(settings)
    with RouterThread(router):
        yield router


def await_ready(router: Router) -> None:
    wait_until(lambda: not router.health.obstacle)


def await_obstacle(router: Router, text: str) -> None:
    wait_until(lambda: text in router.health.obstacle)


def test_definitions_are_waited_for(
    settings: Settings, bus: EventBus, define: Define, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "platform_events")
    with running(settings) as router:
        await_obstacle(router, "has no definitions yet")
        define(A)
        await_ready(router)
        define(A, B, channel(NAME, "A__e", "B__e"), prune=False)
        publish(bus, "A__e", range(10))
        wait_until(lambda: [one.state for one in router.reports()] == ["live"])
        await_ready(router)
        assert len(list(bus.subscribe(NAME, follow=False))) == 10
        # One who leads nothing is ready too.
        with running(settings.model_copy(update={"kafka": {"client.id": "another"}})) as other:
            await_ready(other)
    assert router.health.obstacle == "it is stopping"
    said = [record.getMessage() for record in caplog.records]
    assert len([one for one in said if "has no definitions yet" in one]) == 1


@pytest.mark.parametrize("how", ["refuse", "hang"])
def test_kafka_is_waited_for(
    kafka_broker: KafkaBroker, tenant: str, how: Cut, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "platform_events")
    logging.getLogger("platform_events.kafka").setLevel(logging.CRITICAL)
    with Tenancy(kafka_broker, tenant, EMPTY, is_breakable=True) as tenancy:
        settings = tenancy.settings.model_copy(update={"request_timeout": 2.0})
        with tenancy.break_broker(how), running(settings) as router:
            await_obstacle(router, "describing topic")
            assert router.health.is_alive
            # Another one ends when it is told to, whatever it waits for.
            with running(settings) as other:
                await_obstacle(other, "reading the catalog")
            assert other.health.obstacle == "it is stopping"
    said = [record.getMessage() for record in caplog.records]
    assert said
    assert len(said) == len(set(said))


def test_routers_outlive_a_kafka_that_goes_away(
    kafka_broker: KafkaBroker, tenant: str, definitions: Definitions
) -> None:
    with (
        Tenancy(kafka_broker, tenant, definitions, is_breakable=True) as tenancy,
        # One of them leads nothing.
        running(tenancy.settings) as one,
        running(tenancy.settings) as other,
    ):
        for router in (one, other):
            await_ready(router)
        with tenancy.break_broker("refuse"):
            for router in (one, other):
                await_obstacle(router, "no Kafka broker answers")
                assert router.health.is_alive
        for router in (one, other):
            await_ready(router)


def test_a_channel_without_its_topic_is_no_readiness(
    settings: Settings, define: Define, caplog: pytest.LogCaptureFixture
) -> None:
    define(A, channel(NAME, "A__e"))
    with running(settings) as router:
        await_ready(router)
        delete_topic(settings, NAME)
        wait_until(lambda: bool(router.health.obstacle))
        define(A, channel(NAME, "A__e"))
        await_ready(router)


@pytest.fixture
def definitions(tmp_path: Path) -> Definitions:
    return load(tmp_path, A, channel(NAME, "A__e"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have refusals end a router as soon as they are noticed."""
    monkeypatch.setattr(process_health, "REFUSED_FOR", 0.5)


def test_a_catalog_that_a_newer_version_wrote_ends_it(
    settings: Settings, define: Define, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    define(A)
    produce_to(settings, settings.namespace.catalog, b"event/A__e", b'{"version": 99}')
    with pytest.raises(CatalogCorruptError, match="newer version"), running(settings) as router:
        wait_until(lambda: router.health.obstacle == "it is stopping")
    assert "newer version" in caplog.text


class TestRefusals:
    @pytest.fixture(scope="class")
    @staticmethod
    def kafka() -> Iterator[LocalKafka]:
        with LocalKafka(users={"router": "secret"}) as kafka:
            yield kafka

    @pytest.mark.parametrize(
        ("password", "kind"), [("wrong", AuthenticationError), ("secret", AuthorizationError)]
    )
    def test_what_only_a_person_can_end_ends_it(
        self, kafka: LocalKafka, impatient: None, password: str, kind: type[PlatformEventsError]
    ) -> None:
        with pytest.raises(kind), running(self.settings(kafka, password)) as router:
            wait_until(lambda: router.health.obstacle == "it is stopping")

    def test_rights_for_no_channel_end_it_and_for_one_of_two_make_it_unready(
        self, kafka: LocalKafka, impatient: None, tmp_path: Path
    ) -> None:
        tenant = "shop"
        plain = Settings(bootstrap_servers=kafka.bootstrap_servers, tenant=tenant)
        apply_texts(plain, tmp_path, A, channel("One__chn", "A__e"), channel("Two__chn", "A__e"))
        begin = f"platform-events.{tenant}."
        grant(plain, ResourceType.TOPIC, f"{begin}catalog", AclOperation.READ)
        grant(plain, ResourceType.GROUP, f"{begin}router", AclOperation.READ)
        settings = self.settings(kafka, "secret", tenant)
        with pytest.raises(AuthorizationError, match="__chn"), running(settings) as router:
            wait_until(lambda: router.health.obstacle == "it is stopping")
        grant(plain, ResourceType.TOPIC, f"{begin}A__e", AclOperation.READ)
        for name in ("One__chn", "One__chn.dlq"):
            for operation in (AclOperation.READ, AclOperation.WRITE):
                grant(plain, ResourceType.TOPIC, begin + name, operation)
        grant(plain, ResourceType.GROUP, f"{begin}One__chn.positions", AclOperation.READ)
        grant(plain, ResourceType.TRANSACTIONAL_ID, f"{begin}One__chn.0", AclOperation.WRITE)
        with running(settings) as router:
            wait_until(lambda: [one.state for one in router.reports()] == ["live"])
            await_obstacle(router, "Two__chn")

    @staticmethod
    def settings(kafka: LocalKafka, password: str, tenant: str = "default") -> Settings:
        return Settings(
            bootstrap_servers=kafka.sasl_bootstrap_servers,
            tenant=tenant,
            kafka={
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": "router",
                "sasl.password": password,
            },
        )


def grant(settings: Settings, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Let the user `router` do something."""
    pattern, user = ResourcePatternType.LITERAL, "User:router"
    one = AclBinding(kind, name, pattern, user, "*", operation, AclPermissionType.ALLOW)
    client = admin_client(settings)
    (done,) = client.create_acls([one]).values()
    done.result()


def test_what_it_routes_is_counted(settings: Settings, bus: EventBus, define: Define) -> None:
    expose_metrics()

    def value(name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(f"platform_events_{name}", labels)

    define(A, B, channel(NAME, 'A__e filter: "n >= 4"', "B__e"))
    name = f"{NAME}"
    before = {
        (member, result): value("routed_total", channel=name, member=member, result=result) or 0
        for member in ("A__e", "B__e")
        for result in ("passed", "filtered")
    }
    publish(bus, "A__e", range(10))
    publish(bus, "B__e", range(5))
    with running(settings) as router:
        wait_until(lambda: [one.state for one in router.reports()] == ["live"])
        publish(bus, "A__e", range(10))
        added = {
            ("A__e", "passed"): 12, ("A__e", "filtered"): 8,
            ("B__e", "passed"): 5, ("B__e", "filtered"): 0,
        }  # fmt: skip

        def is_counted() -> bool:
            return all(
                (value("routed_total", channel=name, member=member, result=result) or 0)
                == before[member, result] + number
                for (member, result), number in added.items()
            )

        wait_until(is_counted)
        (report,) = router.reports()
        assert {lag.events for lag in report.lags.values()} == {0}
        assert value("router_state", channel=name, partition="0", state="live") == 1
