"""The ACLs that docs/operations.md lists are enough for each role, and each of them is needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from platform_events import Event, Reject, Start, Worker
from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options, read_catalog, read_plan
from platform_events.channels.router import Router
from platform_events.channels.status import await_definition
from platform_events.cli.views.streams import describe_streams
from platform_events.errors import (
    AuthorizationError,
    BrokerError,
    PublishError,
    UnknownSubscriptionError,
)
from platform_events.kafka.admin import Admin
from platform_events.kafka.local import LocalKafka
from platform_events.settings import Settings
from platform_events.workers import control
from platform_events.workers.dead_letter import Letter
from platform_events.workers.letter_view import LetterFilter
from platform_events.workers.letters import SubscriptionLetters
from platform_events.workers.running import opened_runtime, run_loop
from platform_events.workers.runtime import Runtime
from platform_events.workers.status import list_subscriptions
from tests.docs.pages import page
from tests.support import KEYED, ORDER, delete_topic, load, produce_raw, wait_until

pytestmark = pytest.mark.end_to_end

TENANT = "shop"
EVENT = "Order_Placed__e"
ROWS = page("docs/operations.md").table("Access control")
ROLES = ("publisher", "subscriber", "plan", "apply", "router", "worker", "operator", "streams")
CHANNEL = "Large_Orders__chn"
SUBSCRIPTION = "billing"
CHANNEL_FILE = """
channel: Large_Orders__chn
members:
  - event: Order_Placed__e
    filter: amount >= 100
"""


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
    def __init__(self, kafka: LocalKafka, bus: EventBus) -> None:
        self._kafka = kafka
        self._bus = bus
        """Of one who may do everything."""
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

    @property
    def unrestricted(self) -> Settings:
        """Settings of one who may do everything."""
        return self._bus.settings

    def publish(self, amount: float) -> None:
        self._bus.publish(EVENT, {"order_id": "B", "amount": amount})

    def channel_ends(self) -> tuple[int, ...]:
        """Return the ends of the channel's topic and of its dead letters."""
        namespace = self.unrestricted.namespace
        names = (namespace.topic(CHANNEL), namespace.dead_letters(CHANNEL))
        marks = self._bus.admin.watermarks(dict.fromkeys(names, 1))
        return tuple(marks[name][0][1] for name in names)

    def delete_channel(self) -> None:
        delete_topic(self.unrestricted, CHANNEL)
        name = self.unrestricted.namespace.topic(CHANNEL)
        wait_until(lambda: self._bus.admin.describe_one(name) is None)

    def forget_positions(self) -> None:
        """Let a router find its positions in the channel, as after a week of silence."""
        group = self.unrestricted.namespace.positions(CHANNEL)
        try:
            self._client.delete_consumer_groups([group])[group].result()
        except KafkaException as exception:
            if exception.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise

    def letters(self) -> list[Letter]:
        """Return the dead letters of the subscription."""
        return SubscriptionLetters(self._bus, SUBSCRIPTION).select(LetterFilter())

    def protocol(self) -> str | None:
        """Return how the workers of the subscription share its stream."""
        (status,) = list_subscriptions(self._bus)
        return status.protocol

    def make_subscription(self) -> None:
        """Make it with a dead letter and an event that waits."""
        self.delete_subscription()
        app = Worker(SUBSCRIPTION, EVENT, start=Start.LATEST)

        @app.handler
        async def refuse(event: Event[dict[str, Any]]) -> None:
            raise Reject("no")

        with working(app, self.unrestricted) as runtime:
            wait_until(lambda: not runtime.health.obstacle)
            self.publish(8.0)
            wait_until(lambda: bool(self.letters()))
        self.publish(8.0)

    def delete_subscription(self) -> None:
        with suppress(UnknownSubscriptionError):
            control.delete(self._bus, SUBSCRIPTION)

    def _granted(self) -> set[AclBinding]:
        every = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, None, None,
            AclOperation.ANY, AclPermissionType.ANY,
        )  # fmt: skip
        return set(self._client.describe_acls(every).result())


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    users = {role: f"{role}-secret" for role in ROLES}
    with (
        LocalKafka(users=users) as kafka,
        EventBus(bootstrap_servers=kafka.bootstrap_servers, tenant=TENANT) as bus,
    ):
        yield Cluster(kafka, bus)


def use_apply(cluster: Cluster, directory: Path) -> None:
    """Create, update, grow, delete, repair; leave only Order_Placed__e and its channel."""
    settings = cluster.settings("apply")
    apply(settings, load(directory, ORDER, KEYED), plan_options(settings))
    longer = ORDER.replace("fields:", "retention: 80h\nfields:")
    wider = KEYED.replace("partitions: 3", "partitions: 4")
    apply(settings, load(directory, longer, wider), plan_options(settings, allow_growth=True))
    desired = load(directory, ORDER, CHANNEL_FILE)
    apply(settings, desired, plan_options(settings, prune=True))
    cluster.delete_channel()
    apply(settings, desired, plan_options(settings))
    look_for_routers(cluster)


def look_for_routers(cluster: Cluster) -> None:
    """Do what `apply` does after the change of a channel."""
    settings = cluster.settings("apply")
    with Admin(settings) as admin:
        entry = read_catalog(settings, admin).entries[CHANNEL]
    await_definition(settings, entry, partitions=1, seconds=0)


def use_plan(cluster: Cluster, directory: Path) -> None:
    settings = cluster.settings("plan")
    desired = load(directory, ORDER, CHANNEL_FILE)
    assert not read_plan(settings, desired, plan_options(settings)).effective


def use_publisher(cluster: Cluster, _: Path) -> None:
    with EventBus(cluster.settings("publisher")) as bus:
        bus.publish(EVENT, {"order_id": "A"})


def use_subscriber(cluster: Cluster, _: Path) -> None:
    with EventBus(cluster.settings("subscriber")) as bus:
        assert next(bus.subscribe(EVENT, follow=False)).payload["order_id"] == "A"


def use_streams(cluster: Cluster, _: Path) -> None:
    cluster.publish(8.0)
    with EventBus(cluster.settings("streams")) as bus:
        channel, _ = describe_streams(bus)
        (member,) = channel["members"]
        assert member["lag_events"] > 0
        assert member["lag_seconds"] > 0


def use_router(cluster: Cluster, _: Path) -> None:
    """Find lost positions, route an event, and dead-letter a record."""
    cluster.forget_positions()
    before = cluster.channel_ends()
    cluster.publish(100.0)
    produce_raw(cluster.unrestricted, EVENT, b"no event")

    def has_routed() -> bool:
        return all(end > old for end, old in zip(cluster.channel_ends(), before, strict=True))

    with routing(cluster.settings("router")) as complaints:
        wait_until(lambda: bool(complaints) or has_routed())
    if complaints:
        raise AuthorizationError(complaints[0])


def use_worker(cluster: Cluster, _: Path) -> None:
    """Make the subscription, handle an event, and dead-letter another one."""
    cluster.delete_subscription()
    handled: list[str] = []
    app = Worker(SUBSCRIPTION, EVENT, start=Start.LATEST, grace=1)

    @app.handler
    async def bill(event: Event[dict[str, Any]]) -> None:
        if event.payload["amount"] < 0:
            raise Reject("negative")
        handled.append(event.event_id)

    with working(app, cluster.settings("worker")) as runtime:
        wait_until(lambda: not runtime.health.obstacle or is_refused(runtime))
        if not runtime.health.obstacle:
            cluster.publish(-1.0)
            cluster.publish(8.0)
            wait_until(lambda: is_refused(runtime) or bool(handled and cluster.letters()))
        if is_refused(runtime):
            raise AuthorizationError(runtime.health.obstacle)
        if cluster.protocol() != "consumer":
            raise AuthorizationError("the group's session time-out cannot be set")


def is_refused(runtime: Runtime) -> bool:
    return AuthorizationError.code in runtime.health.obstacle


@contextmanager
def working(app: Worker, settings: Settings) -> Iterator[Runtime]:
    """Run a worker for the length of a `with`."""
    with opened_runtime(app, settings, app.stopping) as runtime:
        thread = threading.Thread(target=run_loop, args=(runtime.run(),))
        thread.start()
        try:
            yield runtime
        finally:
            app.stop()
            thread.join()


def use_operator(cluster: Cluster, _: Path) -> None:
    """Look at a subscription and command it, with a dead letter; in the end delete it."""
    cluster.make_subscription()
    with EventBus(cluster.settings("operator")) as bus:
        (status,) = list_subscriptions(bus)
        assert status.backlog is not None
        assert (status.backlog.lag_events, status.dead_letters) == (1, 1)
        assert status.backlog.lag_seconds is not None
        if status.backlog.time_to_loss_seconds is None:
            raise AuthorizationError("the retention of the stream cannot be read")
        for act in (control.pause, control.resume):
            act(bus, SUBSCRIPTION)
        control.seek(bus, SUBSCRIPTION, Start.EARLIEST)
        letters = SubscriptionLetters(bus, SUBSCRIPTION)
        assert len(list(letters.show(letters.select(LetterFilter())))) == 1
        assert len(list(letters.redrive(letters.select(LetterFilter())))) == 1
        letters = SubscriptionLetters(bus, SUBSCRIPTION)
        assert len(letters.discard(letters.select(LetterFilter()))) == 1
        control.delete(bus, SUBSCRIPTION)


@contextmanager
def routing(settings: Settings) -> Iterator[list[str]]:
    """Run a router; give what it says about what it may not do."""
    complaints: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "AUTHORIZATION_FAILED" in record.getMessage():
                complaints.append(record.getMessage())

    def run() -> None:
        try:
            Router(settings).run(stop)
        except AuthorizationError as error:
            complaints.append(str(error))

    stop = threading.Event()
    listener = Listener()
    logger = logging.getLogger("platform_events")
    logger.addHandler(listener)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield complaints
    finally:
        stop.set()
        thread.join()
        logger.removeHandler(listener)


USES = {
    "apply": use_apply,
    "plan": use_plan,
    "publisher": use_publisher,
    "subscriber": use_subscriber,
    "streams": use_streams,
    "router": use_router,
    "worker": use_worker,
    "operator": use_operator,
}


def test_the_acls_of_each_role_are_enough_and_needed(cluster: Cluster, tmp_path: Path) -> None:
    assert {row[0] for row in ROWS} == set(ROLES)
    directory = tmp_path / "schemas"
    for role, use in USES.items():
        with pytest.raises(AuthorizationError):
            use(cluster, directory)
        cluster.grant(bindings(role))
        use(cluster, directory)
    for role in ("plan", "publisher", "subscriber", "streams", "router", "worker", "operator"):
        for one in bindings(role):
            cluster.revoke(one)
            with pytest.raises((BrokerError, PublishError)):
                USES[role](cluster, directory)
            cluster.grant([one])
    (one,) = (each for each in bindings("apply") if each.restype is ResourceType.GROUP)
    cluster.revoke(one)
    with pytest.raises(AuthorizationError):
        look_for_routers(cluster)
