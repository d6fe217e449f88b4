"""The Kafka users of the production overlay have the rights that docs/operations.md lists.

That these rights are enough for each role, and needed, is tried on a broker with the tests of that
page.
"""

from __future__ import annotations

from copy import deepcopy

import pytest

from tests.deployment.programs import in_pods, load_settings
from tests.deployment.rendering import Object, find, render
from tests.docs.pages import ROOT, page

PATTERNS = {"literal": "literal", "prefix": "prefixed"}
RESOURCES = {"topic": "topic", "group": "group", "transactionalId": "transactional id"}
USERS = {
    "apply": "platform-events-apply",
    "router": "platform-events-router",
    "worker": "platform-events-billing",
    "operator": "platform-events-operator",
}
Right = tuple[str, str, str, str]


def documented(role: str) -> set[Right]:
    return {
        (resource, pattern, name.strip("`"), operation.strip())
        for owner, resource, pattern, name, operations in page("docs/operations.md").table(
            "Access control"
        )
        if owner == role
        for operation in operations.split(",")
    }


def granted(user: Object) -> set[Right]:
    rights = [
        (
            RESOURCES[acl["resource"]["type"]],
            PATTERNS[acl["resource"]["patternType"]],
            acl["resource"]["name"],
            as_kafka_writes(operation),
        )
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    ]
    assert len(set(rights)) == len(rights)
    return set(rights)


def as_kafka_writes(operation: str) -> str:
    """Turn Strimzi's `DescribeConfigs` into `DESCRIBE_CONFIGS`."""
    return "".join(f"_{c}" if c.isupper() else c for c in operation).lstrip("_").upper()


@pytest.fixture(scope="module")
def objects() -> list[Object]:
    return render(ROOT / "k8s/overlays/production")


@pytest.mark.parametrize("role", USERS)
def test_a_user_has_the_rights_of_its_role(objects: list[Object], role: str) -> None:
    assert granted(find(objects, "KafkaUser", USERS[role])) == documented(role)


def test_there_is_no_other_user(objects: list[Object]) -> None:
    users = [each["metadata"]["name"] for each in objects if each["kind"] == "KafkaUser"]
    assert sorted(users) == sorted(USERS.values())


def test_they_are_for_the_tenant_of_the_settings(objects: list[Object]) -> None:
    for process in in_pods(objects, {}):
        namespace = load_settings(process).namespace
        for right in set().union(*map(documented, USERS)):
            assert right[2].startswith(namespace.topic(""))


def test_the_brokers_check_them(objects: list[Object]) -> None:
    kafka = find(objects, "Kafka", "kafka")["spec"]["kafka"]
    assert kafka["authorization"] == {"type": "simple"}
    assert [listener["authentication"] for listener in kafka["listeners"]] == [{"type": "tls"}]


def test_a_right_more_or_less_is_found(objects: list[Object]) -> None:
    user = deepcopy(find(objects, "KafkaUser", "platform-events-router"))
    user["spec"]["authorization"]["acls"][0]["operations"].append("Write")
    assert granted(user) - documented("router") == {
        ("topic", "literal", "platform-events.shop.catalog", "WRITE")
    }
