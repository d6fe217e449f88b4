"""Members of a group on clusters that refuse, are set otherwise, or do not answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from platform_events.errors import (
    AuthorizationError,
    BrokerUnreachableError,
    ConfigurationError,
)
from platform_events.kafka.admin import Admin
from platform_events.kafka.groups import Protocol
from platform_events.kafka.local import LocalKafka
from platform_events.kafka.protocols import choose_protocol
from platform_events.settings import Settings
from tests.kafka.seats import Seat, group_of, make_topic, produce, seated, until
from tests.support import admin_client, free_port, wait_until

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


@pytest.fixture(params=["consumer", "classic"])
def protocol(request: pytest.FixtureRequest) -> Protocol:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def topic(settings: Settings) -> str:
    return make_topic(settings)


def session_of(settings: Settings, group: str) -> str:
    resource = ConfigResource(ResourceType.GROUP, group)
    client = admin_client(settings)
    entries = client.describe_configs([resource])[resource].result(10)
    return str(entries["consumer.session.timeout.ms"].value)


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
    client = admin_client(settings)
    client.create_acls([binding])[binding].result(10)


def test_what_the_cluster_does_not_allow_is_told_until_it_is_granted(
    settings: Settings, secured: LocalKafka, protocol: Protocol
) -> None:
    owner = on(settings, secured)
    topic, group = make_topic(owner), group_of(owner)
    produce(owner, topic, 1)
    allow(owner, ResourceType.TOPIC, topic, AclOperation.DESCRIBE)
    with seated(as_user(settings, secured), topic, protocol) as seat:

        def is_told(code: str) -> bool:
            failure = seat.member.failure
            return isinstance(failure, AuthorizationError) and failure.kafka_code == code

        until(lambda: is_told("GROUP_AUTHORIZATION_FAILED"), seat)
        assert seat.errors[-1] is seat.member.failure
        allow(owner, ResourceType.GROUP, group, AclOperation.DESCRIBE)
        told = len(seat.errors)
        until(lambda: len(seat.errors) > told, seat)
        assert is_told("GROUP_AUTHORIZATION_FAILED")
        assert not seat.member.is_member
        allow(owner, ResourceType.GROUP, group, AclOperation.READ)
        until(lambda: seat.owned == ALL, seat)
        until(lambda: is_told("TOPIC_AUTHORIZATION_FAILED"), seat)
        allow(owner, ResourceType.TOPIC, topic, AclOperation.READ)
        until(lambda: all(seat.offsets[one] == [0] for one in ALL), seat)
        assert seat.member.failure is None


def test_who_may_not_see_the_topic_is_told_so(
    settings: Settings, secured: LocalKafka, protocol: Protocol
) -> None:
    owner = on(settings, secured)
    topic = make_topic(owner)
    allow(owner, ResourceType.GROUP, group_of(owner), AclOperation.READ)
    with seated(as_user(settings, secured), topic, protocol) as seat:
        # Grants are known to the broker a moment later.
        until(lambda: any("TOPIC_AUTHORIZATION_FAILED" in str(one) for one in seat.errors), seat)
        assert isinstance(seat.member.failure, AuthorizationError)
        allow(owner, ResourceType.TOPIC, topic, AclOperation.READ)
        until(lambda: seat.owned == ALL, seat)
        assert seat.member.failure is None


def test_less_metadata_than_usual_is_told_of_the_partition_that_has_more(
    settings: Settings, strict: LocalKafka, protocol: Protocol
) -> None:
    owner = on(settings, strict)
    topic = make_topic(owner)
    with seated(owner, topic, protocol) as seat:
        until(lambda: seat.owned == ALL, seat)
        outcome = seat.commit({0: (1, "x" * 99), 1: (1, "x" * 100)})
        assert outcome == {0: "", 1: "OFFSET_METADATA_TOO_LARGE"}


def test_a_stopped_broker_does_not_keep_a_member_from_leaving(
    settings: Settings, secured: LocalKafka, protocol: Protocol
) -> None:
    owner = on(settings, secured)
    topic = make_topic(owner)
    seat = Seat(owner, topic, protocol)
    until(lambda: seat.owned == ALL, seat)
    broker = secured.pids[1]
    os.kill(broker, signal.SIGSTOP)
    try:
        # They would wait for the broker as long as it is stopped.
        assert seat.member.commit({0: (1, "a")})
        seat.member.commit_now({1: (1, "b")})
        seat.read(0.1)
        seat.member.close(0.5)
        assert secured.pids[1] == broker
    finally:
        os.kill(broker, signal.SIGCONT)
    with seated(owner, topic, protocol, client_id="two") as after:
        until(lambda: after.owned == ALL, after)


def test_a_static_member_that_was_killed_comes_back(
    settings: Settings, topic: str, protocol: Protocol
) -> None:
    with Admin(settings) as admin:
        admin.configure_group(
            group_of(settings),
            {"consumer.session.timeout.ms": "2000", "consumer.heartbeat.interval.ms": "500"},
        )
    program = [sys.executable, "-m", "tests.kafka.seats", settings.bootstrap_servers,
               settings.tenant, topic, protocol]  # fmt: skip
    with subprocess.Popen(program, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"seated\n"
        first.kill()
    with seated(settings, topic, protocol, instance_id="kept") as seat:
        until(lambda: seat.owned == ALL, seat)
        assert seat.errors == []
        assert seat.member.failure is None


def test_two_processes_with_one_instance_id_are_told_apart(
    settings: Settings, topic: str, protocol: Protocol, caplog: pytest.LogCaptureFixture
) -> None:
    """The newer protocol refuses the second; the older one ends the first, which stays away."""
    with seated(settings, topic, protocol, instance_id="same", client_id="one") as one:
        until(lambda: one.owned == ALL, one)
        with seated(settings, topic, protocol, instance_id="same", client_id="two") as two:
            if protocol == "consumer":
                until(lambda: two.member.failure, one, two)
                assert "instance ID same" in str(two.member.failure)
                tried = two.member._consumer
                until(lambda: two.member._consumer not in (tried, None), one, two)
                until(lambda: two.member._consumer is None, one, two)
                assert one.owned == ALL
                assert caplog.text.count("instance ID same") == 1
            else:
                until(lambda: two.owned == ALL, two)
                with pytest.raises(ConfigurationError, match="instance ID same too; give each"):
                    until(lambda: False, one)
                assert set(one.lost) == ALL
                for _ in range(100):
                    one.read()
                    two.read()
                assert two.owned == ALL


def test_brokers_without_the_newer_protocol_are_told_of(settings: Settings) -> None:
    with LocalKafka(properties={"group.coordinator.rebalance.protocols": "classic"}) as kafka:
        owner = on(settings, kafka)
        topic = make_topic(owner)
        with (
            seated(owner, topic, "consumer") as seat,
            pytest.raises(ConfigurationError, match=r"KIP-848.*use classic"),
        ):
            until(lambda: False, seat)
        with seated(owner, topic, "classic") as seat:
            until(lambda: seat.owned == ALL, seat)
        with seated(owner, topic, "consumer", or_classic=True) as seat:
            until(lambda: seat.owned == ALL, seat)


def test_the_newer_protocol_is_taken_where_a_dead_member_is_noticed_soon(
    settings: Settings, secured: LocalKafka, strict: LocalKafka
) -> None:
    group = group_of(settings)
    with Admin(settings) as admin:
        assert choose_protocol(admin, group, "auto") == "consumer"
        assert session_of(settings, group) == "6000"
        assert choose_protocol(admin, f"{group}-2", "classic") == "classic"
        assert session_of(settings, f"{group}-2") == "45000"
    with Admin(on(settings, strict)) as admin:
        assert choose_protocol(admin, group, "auto") == "classic"
        assert choose_protocol(admin, group, "consumer") == "consumer"
    with Admin(as_user(settings, secured)) as admin:
        assert choose_protocol(admin, group, "auto") == "classic"
        allow(on(settings, secured), ResourceType.GROUP, group, AclOperation.ALTER_CONFIGS)
        wait_until(lambda: choose_protocol(admin, group, "auto") == "consumer")


def test_a_cluster_that_is_away_has_no_protocol(settings: Settings) -> None:
    away = settings.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    with Admin(away) as admin, pytest.raises(BrokerUnreachableError):
        choose_protocol(admin, "some-group", "auto")
