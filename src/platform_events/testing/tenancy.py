"""A tenant for the length of one test: definitions applied, and a router when a channel is read."""

from __future__ import annotations

import functools
import os
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.starts import find_stream, resolve_start
from platform_events.catalog.apply import apply, plan_options, read_catalog
from platform_events.channels.router import Router
from platform_events.channels.status import await_filled
from platform_events.channels.thread import RouterThread
from platform_events.definitions.model import ChannelDefinition
from platform_events.errors import BrokerError, BrokerTimeoutError, UsageError
from platform_events.kafka.admin import Admin
from platform_events.names import is_channel_name, stream_name
from platform_events.replay import ReplayId
from platform_events.settings import Settings
from platform_events.testing.desk import cut_off, mend
from platform_events.variables import PREFIX
from platform_events.workers.log import subscription_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from platform_events.catalog.state import Entry
    from platform_events.definitions.model import Definitions
    from platform_events.names import Namespace
    from platform_events.testing import KafkaBroker
    from platform_events.testing.proxy import Cut

_FILL_SECONDS = 30.0
"""How long a router may take to put what was published into a channel."""
_RECONNECT_MS = "200"
"""The longest pause before a bus tries again after the broker was broken."""
_OF_ANOTHER_CLUSTER = ("KAFKA", "REPLICATION_FACTOR", "MIN_INSYNC_REPLICAS")
"""Settings, or beginnings of them, that say nothing about the broker of tests."""


class Tenancy:
    """What one test has on the broker, for the length of a `with`.

    Within it, `EventBus()` means this tenant, and reading one of its channels starts a router.
    At the end the topics are deleted, in one request, and the groups of workers: the files and
    memory of a broker that kept those of thousands of tests would run out.

    Args:
        broker: where.
        tenant: a name that nobody else uses.
        definitions: what to apply.
        is_breakable: whether the buses go through the broker's proxy, which can cut them off.

    Raises:
        UsageError: the broker has no proxy.
        PlatformEventsError: the definitions cannot be applied.
    """

    _present: ClassVar[dict[Namespace, Tenancy]] = {}

    def __init__(
        self,
        broker: KafkaBroker,
        tenant: str,
        definitions: Definitions,
        *,
        is_breakable: bool = False,
    ) -> None:
        self._broker = broker
        self._tenant = tenant
        self._definitions = definitions
        self._is_breakable = is_breakable
        self._exits = ExitStack()
        self._starting = threading.Lock()
        self._router: RouterThread | None = None

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            patch = exits.enter_context(pytest.MonkeyPatch.context())
            _set_variables(patch, self._variables())
            self.settings = Settings()
            """Of the test's buses."""
            self._direct = self.settings.model_copy(
                update={"bootstrap_servers": self._broker.bootstrap_servers, "kafka": {}}
            )
            self._admin = exits.enter_context(Admin(self._direct))
            exits.callback(self._delete_all)
            apply(self._direct, self._definitions, plan_options(self._direct))
            self._route_what_is_read(patch)
            self._present[self._direct.namespace] = self
            exits.callback(self._present.pop, self._direct.namespace)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @classmethod
    def of(cls, settings: Settings) -> Tenancy | None:
        """Return the one whose tenant these settings name, if it is there."""
        return cls._present.get(settings.namespace)

    @contextmanager
    def break_broker(self, how: Cut) -> Iterator[None]:
        """Cut the test's buses off for the length of a `with`; see the fixture.

        Raises:
            UsageError: they are cut off already or do not go through the proxy, or `how` is no way
                to do it.
        """
        access = self._broker.access
        if access is None or not self._is_breakable:
            raise UsageError("name break_broker among the test's arguments, beside its bus")
        cut_off(access.invitation, self._tenant, how)
        try:
            yield
        finally:
            mend(access.invitation, self._tenant)

    def expire(self, replay_id: ReplayId | bytes | str) -> None:
        """Delete the events that a subscriber at this replay ID has read; see the fixture.

        Raises:
            UsageError: it is of no stream of this tenant, as it is now.
            ReplayError: it is no replay ID.
            BrokerError: the cluster does not do it.
        """
        wanted = ReplayId.parse(replay_id)
        for entry in read_catalog(self._direct, self._admin, expected=True).entries.values():
            if entry.active is None:
                continue
            topic = self._direct.namespace.topic(entry.name)
            stream = find_stream(entry, topic, self._admin)
            if wanted.tag in stream.identity.tags:
                beginning = resolve_start(wanted, stream, self._admin, on_expired="earliest")
                self._admin.delete_records(topic, beginning.offsets)
                return
        raise UsageError(
            f"the replay ID {wanted} is of no stream of this test's tenant: give one of an event "
            "that this test published or received, whole"
        )

    def _variables(self) -> dict[str, str]:
        """Return the settings of the test's buses, as variables without `PLATFORM_EVENTS_`."""
        variables = {"BOOTSTRAP_SERVERS": self._broker.bootstrap_servers, "TENANT": self._tenant}
        if not self._is_breakable:
            return variables
        if self._broker.access is None:
            raise UsageError(
                "break_broker needs the embedded Kafka with its proxy: leave the variable "
                "PLATFORM_EVENTS_TEST_BROKER and the fixture kafka_broker as they are"
            )
        return variables | {
            "BOOTSTRAP_SERVERS": self._broker.access.address,
            "KAFKA__CLIENT_ID": self._tenant,  # by which the proxy knows whose connection it is
            "KAFKA__RECONNECT_BACKOFF_MAX_MS": _RECONNECT_MS,
        }

    def _route_what_is_read(self, patch: pytest.MonkeyPatch) -> None:
        """Have buses of this tenant, whoever makes them, find channels that are filled."""
        subscribe = EventBus.subscribe

        @functools.wraps(subscribe)
        def subscribe_routed(bus: EventBus, stream: str, *args: Any, **options: Any) -> Any:
            name = stream_name(stream)
            if is_channel_name(name) and bus.settings.namespace == self._direct.namespace:
                self.fill(name)
            return subscribe(bus, stream, *args, **options)

        patch.setattr(EventBus, "subscribe", subscribe_routed)

    def fill(self, channel: str) -> None:
        """Return when the channel has what was published so far; a router starts if need be.

        Raises:
            BrokerTimeoutError: that took too long.
            PlatformEventsError: what has ended the router.
        """
        catalog = read_catalog(self._direct, self._admin, expected=True)
        entry = catalog.entries.get(channel)
        if entry is None or not isinstance(entry.active, ChannelDefinition):
            return  # subscribing says so
        with self._starting:
            if self._router is None:
                self._router = self._exits.enter_context(RouterThread(Router(self._direct)))
        self._await_filled(self._router, entry)

    def _await_filled(self, router: RouterThread, entry: Entry) -> None:
        def pause(seconds: float) -> None:
            router.check()
            time.sleep(seconds)

        if not await_filled(self._direct, self._admin, entry, _FILL_SECONDS, pause):
            raise BrokerTimeoutError(
                f"the router of this test has not put everything into {entry.name} within "
                f"{_FILL_SECONDS:.0f} s: its warnings, by the logger platform_events, say why"
            )

    def _delete_all(self) -> None:
        namespace = self._direct.namespace
        names = [*self._definitions.events, *self._definitions.channels]
        topics = [topic for name in names for topic in namespace.topics(name)]
        subscriptions = subscription_names(self._direct, self._admin)
        for name in subscriptions:
            # A worker that a test has left behind keeps its group.
            with suppress(BrokerError):
                self._admin.delete_group(namespace.worker(name))
        self._admin.delete(*topics, *map(namespace.journal, subscriptions), namespace.catalog)


def _set_variables(patch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Have `Settings()` say this, and nothing about another cluster."""
    for name in list(os.environ):
        bare = name.upper().removeprefix(PREFIX)
        is_ours = name.upper().startswith(PREFIX)
        if is_ours and (bare in variables or bare.startswith(_OF_ANOTHER_CLUSTER)):
            patch.delenv(name)
    for bare, value in variables.items():
        patch.setenv(PREFIX + bare, value)
