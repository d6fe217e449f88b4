"""The ACLs that docs/operations.md lists are enough for each role, and each of them is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options, read_plan
from platform_events.errors import AuthorizationError, BrokerError, PublishError
from platform_events.kafka.local import LocalKafka
from platform_events.settings import Settings
from tests.docs.pages import page
from tests.support import KEYED, ORDER, load, wait_until

TENANT = "shop"
EVENT = "Order_Placed__e"
ROWS = page("docs/operations.md").table("Access control")
ROLES = ("publisher", "subscriber", "plan", "apply")


def bindings(role: str) -> list[AclBinding]:
    return [
        AclBinding(
            ResourceType[resource.upper().replace(" ", "_")],
            name.strip("`"),
            ResourcePatternType[pattern.upper()],
            f"User:{role}",
            "*",
            AclOperation[operation.strip()],
            AclPermissionType.ALLOW,
        )
        for owner, resource, pattern, name, operations in ROWS
        if owner == role
        for operation in operations.split(",")
    ]


class Cluster:
    def __init__(self, kafka: LocalKafka) -> None:
        self._kafka = kafka
        self._client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})

    def settings(self, role: str) -> Settings:
        return Settings(
            bootstrap_servers=self._kafka.sasl_bootstrap_servers,
            tenant=TENANT,
            request_timeout=5,
            kafka={
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": role,
                "sasl.password": f"{role}-secret",
            },
        )

    def grant(self, wanted: list[AclBinding]) -> None:
        for future in self._client.create_acls(wanted).values():
            future.result()
        wait_until(lambda: set(wanted) <= self._granted())

    def revoke(self, one: AclBinding) -> None:
        """Take it away and leave the others."""
        request = AclBindingFilter(
            one.restype, one.name, one.resource_pattern_type, one.principal, one.host,
            one.operation, one.permission_type,
        )  # fmt: skip
        self._client.delete_acls([request])[request].result()
        wait_until(lambda: one not in self._granted())

    def _granted(self) -> set[AclBinding]:
        every = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, None, None,
            AclOperation.ANY, AclPermissionType.ANY,
        )  # fmt: skip
        return set(self._client.describe_acls(every).result())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    users = {role: f"{role}-secret" for role in ROLES}
    with LocalKafka(users=users) as kafka:
        yield Cluster(kafka)


def use_apply(cluster: Cluster, directory: Path) -> None:
    """Create, update, grow, delete, and leave only Order_Placed__e."""
    settings = cluster.settings("apply")
    apply(settings, load(directory, ORDER, KEYED), plan_options(settings))
    longer = ORDER.replace("fields:", "retention: 80h\nfields:")
    wider = KEYED.replace("partitions: 3", "partitions: 4")
    apply(settings, load(directory, longer, wider), plan_options(settings, allow_growth=True))
    apply(settings, load(directory, ORDER), plan_options(settings, prune=True))


def use_plan(cluster: Cluster, directory: Path) -> None:
    settings = cluster.settings("plan")
    assert not read_plan(settings, load(directory, ORDER), plan_options(settings)).effective


def use_publisher(cluster: Cluster, _: Path) -> None:
    with EventBus(cluster.settings("publisher")) as bus:
        bus.publish(EVENT, {"order_id": "A"})


def use_subscriber(cluster: Cluster, _: Path) -> None:
    with EventBus(cluster.settings("subscriber")) as bus:
        assert next(bus.subscribe(EVENT, follow=False)).payload["order_id"] == "A"


USES = {
    "apply": use_apply,
    "plan": use_plan,
    "publisher": use_publisher,
    "subscriber": use_subscriber,
}


def test_the_acls_of_each_role_are_enough_and_needed(cluster: Cluster, tmp_path: Path) -> None:
    assert {row[0] for row in ROWS} == set(ROLES)
    directory = tmp_path / "schemas"
    for role, use in USES.items():
        with pytest.raises(AuthorizationError):
            use(cluster, directory)
        cluster.grant(bindings(role))
        use(cluster, directory)
    for role in ("plan", "publisher", "subscriber"):
        for one in bindings(role):
            cluster.revoke(one)
            with pytest.raises((BrokerError, PublishError)):
                USES[role](cluster, directory)
            cluster.grant([one])
