"""The router: fills the channels of a tenant, together with the other routers of that tenant."""

from __future__ import annotations

import logging
import math
import os
import socket
from typing import TYPE_CHECKING

from platform_events.catalog.follower import Follower
from platform_events.catalog.live import Catalog
from platform_events.channels.context import FeederContext
from platform_events.channels.feeder import Feeder
from platform_events.channels.readiness import Situation, find_obstacle
from platform_events.channels.semaphore import FairSemaphore
from platform_events.channels.states import Statements
from platform_events.definitions.model import ChannelDefinition
from platform_events.errors import BrokerError, CatalogCorruptError
from platform_events.kafka.admin import Admin
from platform_events.kafka.connection import refuse_green_threads
from platform_events.kafka.groups import Leadership
from platform_events.kafka.tail import Tail
from platform_events.kafka.watch import TopicWatch
from platform_events.metrics import expose_metrics
from platform_events.metrics.meters import METERS
from platform_events.names import is_channel_name
from platform_events.partition_tasks import PartitionTasks
from platform_events.process_health import ProcessHealth

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from platform_events.catalog.state import Entry
    from platform_events.channels.states import Progress, State
    from platform_events.errors import PlatformEventsError
    from platform_events.metrics.meters import FeedReport
    from platform_events.settings import Settings

_TICK = 0.1
"""Seconds between two looks at the catalog, and at what feeders have to say."""
_REFRESH = 5.0
"""Seconds between two looks at whether the catalog's topic is still the same."""
_PAUSE = 1.0
_CATCHING_UP_AT_ONCE = 4
_STOP_SECONDS = 10.0
"""How long feeders that are to stop are waited for; fencing covers the rest."""
_GONE_SECONDS = 1.0
"""The same for those of deleted channels, whose topics do not answer."""
_ANSWER_SECONDS = 0.2
"""How long an answer of a cluster that is away is waited for at the end."""
_logger = logging.getLogger("platform_events")


def _ignore(*_: object) -> None:
    """Tell nobody."""


class Router:
    """Fills channels from their members until it is stopped.

    Several routers share the channels of a tenant; the channels of one that dies are taken over
    by the others within seconds. Each member event that passes its filter is in the channel
    exactly once, whatever happens to routers and brokers.

    Args:
        settings: which cluster and tenant.
        on_state: is told each change: channel, partition, state and what is wrong.
        on_progress: is told channel, partition, and how far catching up is; None when it is over.

    Raises:
        ConfigurationError: a property of the user's is not accepted.
        UsageError: threads are green ones, of which this one would stop all others.
    """

    def __init__(
        self,
        settings: Settings,
        on_state: Callable[[str, int, State, str], None] = _ignore,
        on_progress: Callable[[str, int, Progress | None], None] = _ignore,
    ) -> None:
        refuse_green_threads()
        if settings.metrics:
            expose_metrics()
        self._settings = settings
        self._on_state = on_state
        self.name = str(
            settings.kafka.get("client.id") or f"router@{socket.gethostname()}:{os.getpid()}"
        )
        """By which `streams` shows it."""
        self.health = ProcessHealth()
        self._entries: dict[str, Entry] = {}
        """The channels, by their topics."""
        self._tasks: PartitionTasks[Feeder] = PartitionTasks()
        self._unreadable: list[str] = []
        """Channels that are not fed because of their records in the catalog, and why."""
        self._newer: CatalogCorruptError | None = None
        """Why nothing that is defined can be read, if that is so."""
        self._statements = Statements()
        self._last_warning = self._last_told = ""
        self._revision = -1
        """Of the catalog, as it was last looked at."""
        self._admin = Admin(settings)
        self._catalog = Catalog(settings, self._admin)
        self._watch = TopicWatch(self._admin)
        self._tail = Tail(settings)
        self._leadership = Leadership(
            settings, settings.namespace.routers, self.name, self._assign, self._revoke
        )
        self._context = FeederContext(
            settings=settings,
            name=self.name,
            admin=self._admin,
            catalog=self._catalog,
            watch=self._watch,
            tail=self._tail,
            catching_up=FairSemaphore(_CATCHING_UP_AT_ONCE),
            statements=self._statements,
            on_progress=on_progress,
        )
        METERS.feeds.add(self)
        METERS.loops.add(self.health)

    def reports(self) -> list[FeedReport]:
        """Return how the channel partitions of this router are; any thread may ask."""
        return [feeder.report() for feeder in self._tasks.works().values()]

    def run(self, stop: threading.Event) -> None:
        """Route until `stop` is set. A cluster that is away is waited for, and so are definitions.

        Raises:
            AuthenticationError, AuthorizationError: the cluster has refused for 30 s.
            CatalogCorruptError: the catalog could not be read for 30 s.
        """
        follower = Follower(self._admin, self._watch, lambda: self._tail, tick=_TICK)
        followed = follower.follow(self._catalog, refresh=_REFRESH)
        try:
            while not stop.is_set():
                self.health.beat()
                self._look_around(followed.failure)
                try:
                    self._follow_definitions()
                    self._leadership.poll(_TICK)
                    self._tasks.tend()
                    self._publish_statements()
                except BrokerError as error:
                    self._warn(error.line)
                    stop.wait(_PAUSE)
        finally:
            self.health.obstacle = "it is stopping"
            self._stop_feeding()
            self._leadership.close()
            is_over = follower.close(_ANSWER_SECONDS)
            self._tail.close()
            if is_over:
                self._admin.close()

    def _look_around(self, failure: PlatformEventsError | None) -> None:
        """Say what is in the way, once; raise it if only a person can end it and nobody does.

        Args:
            failure: of reading the catalog.
        """
        failure = failure or self._leadership.failure or self._newer
        unfed = self._leadership.missing | {
            topic: feeder.refusal
            for (topic, _), feeder in self._tasks.works().items()
            if feeder.refusal
        }
        situation = Situation(
            failure=failure.line if failure else "",
            is_asked=self._catalog.known_at > -math.inf,
            is_read=self._catalog.is_read,
            is_followed=self._revision >= 0,
            has_channels=bool(self._entries),
            is_member=self._leadership.is_member,
            complaints=[*self._unreadable, *(error.line for error in unfed.values())],
        )
        obstacle = find_obstacle(situation, self._settings.tenant)
        if obstacle != self.health.obstacle:
            self.health.obstacle = obstacle
            if not obstacle:
                self._tell("ready")
            elif situation.is_asked and not situation.is_read and not failure:
                # Everything else is logged where it happens, or takes no time.
                self._tell(f"waiting: {obstacle}")
        if self._entries and self._entries.keys() <= unfed.keys():
            failure = failure or next(iter(unfed.values()))
        self.health.raise_if_refused(failure)

    def _follow_definitions(self) -> None:
        revision, entries = self._catalog.revision, self._catalog.known()
        # One that cannot be read, seems to be gone, or changes just now, changes nothing for now.
        is_settled = self._catalog.is_read and revision == self._catalog.revision
        if revision == self._revision or not is_settled:
            return
        self._revision = revision
        self._unreadable = [
            f"{entry.name} is not fed: {entry.unreadable}"
            for entry in entries
            if entry.unreadable and is_channel_name(entry.name)
        ]
        self._newer = _find_newer_version(entries)
        for complaint in [self._newer.line] if self._newer else self._unreadable:
            self._warn(complaint)
        topic = self._settings.namespace.topic
        self._entries = {
            topic(entry.name): entry
            for entry in entries
            # A deletion takes the topic before it is finished.
            if isinstance(entry.active, ChannelDefinition) and entry.wanted and entry.feeding
        }
        for (name, _), feeder in self._tasks.works().items():
            if name in self._entries:
                feeder.redefine(self._entries[name])
        self._leadership.share(self._entries)

    def _assign(self, partitions: list[tuple[str, int]]) -> None:
        for key in partitions:
            if key[0] in self._entries:
                self._tasks.gain(key, Feeder(self._context, self._entries[key[0]], key[1]))

    def _revoke(self, partitions: list[tuple[str, int]]) -> None:
        for key in partitions:
            self._tasks.lose(key, _STOP_SECONDS if key[0] in self._entries else _GONE_SECONDS)
            self._statements.forget(key)

    def _stop_feeding(self) -> None:
        """Let all feeders end, before others take over; the group must not wait for that."""
        self._tasks.close(_STOP_SECONDS)
        while not self._tasks.await_ends(_TICK):
            self.health.beat()
            try:
                self._leadership.poll(0)
            except BrokerError as error:
                self._warn(error.line)

    def _publish_statements(self) -> None:
        claims = self._statements.take()
        if not claims:
            return
        try:
            ours = self._leadership.declare(
                {key: claim.state.to_text() for key, claim in claims.items()}
            )
        except BrokerError:
            self._statements.give_back(claims)
            raise
        for key, claim in claims.items():
            topic, partition = key
            said = claim.state
            if key in ours and topic in self._entries:
                self._on_state(self._entries[topic].name, partition, said.state, said.detail)
            elif key in self._tasks.works() and said.state != "taking over":
                # Partitions change hands just now; it is said again when that is over.
                self._statements.give_back({key: claim})
                continue
            self._statements.settle(key, claim, is_ours=key in ours)

    def _tell(self, message: str) -> None:
        """Log what is well, or waited for, once while it lasts."""
        if message != self._last_told:
            self._last_told = message
            _logger.info("%s", message)

    def _warn(self, message: str) -> None:
        """Log what goes wrong, once while it lasts."""
        if message != self._last_warning:
            self._last_warning = message
            _logger.warning("%s", message)


def _find_newer_version(entries: Sequence[Entry]) -> CatalogCorruptError | None:
    """Return that a newer version wrote the catalog, if nothing that is defined can be read.

    A single entry condemns only itself.
    """
    defined = [one for one in entries if one.active or one.pending or one.unreadable]
    if defined and all(one.unreadable for one in defined):
        return CatalogCorruptError(f"{defined[0].name}: {defined[0].unreadable}")
    return None
