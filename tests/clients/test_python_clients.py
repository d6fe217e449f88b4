"""Python's clients of the Pub/Sub API, unmodified: pysfpubsub 0.1.2 and aiosfpubsub 0.0.6."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.service.access import tenant_id
from platform_events.service.access_log import AccessLog
from platform_events.service.certificates import CA_FILE
from platform_events.service.credentials import PasswordHash
from platform_events.service.principal_access import PrincipalAccess
from platform_events.service.principals import Grant, Principal, Right
from platform_events.service.principals_file import PrincipalsFile, add_principal
from platform_events.service.tokens import Tokens
from platform_events.settings import Settings
from tests.clients.conftest import TOPIC, Site, running
from tests.clients.relay import Relay
from tests.support import ORDER, delete_before

CLIENTS = ("pysfpubsub", "aiosfpubsub")
CORRUPTED = "sfdc.platform.eventbus.grpc.subscription.fetch.replayid.corrupted"
Publish = Callable[[int, int], list[str]]

pytestmark = pytest.mark.parametrize("client", CLIENTS)


def orders(events: list[dict[str, Any]]) -> list[str]:
    return [event["order_id"] for event in events]


def numbered(first: int, end: int) -> list[str]:
    return [f"A-{number}" for number in range(first, end)]


def test_it_logs_in_and_learns_what_a_topic_is(
    site: Site, client: str, settings: Settings, bus: EventBus
) -> None:
    (told,) = site.start(client, "describe").finish()
    schema = bus.catalog.event("Order_Placed__e").schema
    assert told.pop("schema")["name"] == "Order_Placed__e"
    assert told == {
        "tenant": tenant_id(settings.tenant),
        "instance": site.addresses["https"],
        "schema_id": schema.id,
        "can_publish": True,
        "can_subscribe": True,
    }


@pytest.mark.parametrize("right", ["publish", "subscribe", "manage"])
def test_it_is_a_principal_with_its_rights(
    settings: Settings, define: Callable[..., None], tmp_path: Path, client: str, right: Right
) -> None:
    define(ORDER)
    file, tls = tmp_path / "principals.yaml", tmp_path / "tls"
    # As the programs log in.
    kept = PasswordHash.of("a&b<c")
    grant = Grant(frozenset({right}), "Order_*")
    add_principal(file, Principal("me@example.com", settings.tenant, kept, (grant,)))
    access = PrincipalAccess(PrincipalsFile(file), Tokens(b"k" * 32), AccessLog())
    with running(settings, tls, access) as addresses:
        program = Site(addresses, tls / CA_FILE, tmp_path).start(client, "describe")
        if right == "manage":
            said = program.fail()
            assert "topic.not.found" in said or "was not found" in said
        else:
            (told,) = program.finish()
            assert told["tenant"] == tenant_id(settings.tenant)
            assert told["can_publish"] is (right == "publish")
            assert told["can_subscribe"] is (right == "subscribe")


def test_it_follows_from_the_earliest_event(site: Site, client: str, publish: Publish) -> None:
    # aiosfpubsub asks for a hundred every five seconds.
    count = 1_000 if client == "pysfpubsub" else 180
    replay_ids = publish(0, count)
    follower = site.start(client, "follow", "EARLIEST")
    events = follower.take(count)
    assert orders(events) == numbered(0, count)
    assert [event["replay_id"] for event in events] == replay_ids
    publish(count, count + 20)
    assert orders(follower.take(20)) == numbered(count, count + 20)


def test_it_follows_from_now_on(site: Site, client: str, publish: Publish) -> None:
    *_, last = publish(0, 10)
    follower = site.start(client, "follow", "LATEST")
    assert follower.next() == {"latest": last}
    publish(10, 110)
    assert orders(follower.take(100)) == numbered(10, 110)


def test_it_goes_on_after_a_replay_id(site: Site, client: str, publish: Publish) -> None:
    replay_ids = publish(0, 150)
    follower = site.start(client, "follow", "CUSTOM", replay_ids[49])
    assert orders(follower.take(100)) == numbered(50, 150)


def test_it_loses_and_repeats_nothing_when_its_connection_is_reset(
    site: Site, client: str, publish: Publish
) -> None:
    with Relay(site.addresses["grpc"]) as relay:
        follower = site.start(client, "follow", "EARLIEST", port=str(relay.port))
        publish(0, 50)
        assert orders(follower.take(50)) == numbered(0, 50)
        for first in (50, 100):
            assert relay.reset() >= 1
            assert follower.next_with("status")["status"] == "UNAVAILABLE"
            publish(first, first + 50)
            assert orders(follower.take(50)) == numbered(first, first + 50)


def test_an_expired_replay_id_shows_its_error(
    site: Site, client: str, publish: Publish, settings: Settings
) -> None:
    first, *_ = publish(0, 20)
    delete_before(settings, "Order_Placed__e", [10])
    (told,) = site.start(client, "follow", "CUSTOM", first).finish()
    assert told["status"] == "INVALID_ARGUMENT"
    assert told["code"] == CORRUPTED
    assert told["verdict"] == "EXPIRED"
    assert "rpcId: " in told["text"]


def test_it_publishes(site: Site, client: str, bus: EventBus) -> None:
    if client == "aiosfpubsub":
        pytest.skip("it cannot")
    *results, refused = site.start(client, "publish", "1000").finish()
    with bus.subscribe(TOPIC, Start.EARLIEST, follow=False) as stream:
        events = list(stream)
    assert [event.payload["order_id"] for event in events] == numbered(0, 1_000)
    assert [event.payload["amount"] for event in events] == [n / 4 for n in range(1_000)]
    assert results == [
        {"error": "", "replay_id": bytes(event.replay_id).hex(), "event_id": event.event_id}
        for event in events
    ]
    assert refused["error"]
    assert refused["replay_id"] == "00" * 10
