"""EventBus: the entry to everything that a program does with events."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_args, overload

from platform_events.bus.connection import Connection
from platform_events.bus.decoding import EventDecoder
from platform_events.bus.models import Models
from platform_events.bus.position import Position
from platform_events.bus.publisher import Publisher, message_of
from platform_events.bus.recovery import Recovery
from platform_events.bus.starts import (
    OnExpired,
    StartPoint,
    find_stream,
    resolve_end,
    resolve_start,
)
from platform_events.bus.subscription import OnUndecodable, Subscription
from platform_events.bus.values import PublishResult, PublishStatus, Start
from platform_events.catalog.live import Catalog
from platform_events.catalog.retirement import TRUSTED_FOR
from platform_events.definitions.model import ChannelDefinition
from platform_events.errors import ClosedError, PublishError, UsageError
from platform_events.kafka.connection import refuse_green_threads
from platform_events.kafka.live import LiveReader
from platform_events.kafka.reader import TopicReader
from platform_events.names import stream_name
from platform_events.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Executor, Future
    from types import UnionType

    from platform_events.bus.models import ModelArgument
    from platform_events.catalog.follower import Followed
    from platform_events.envelope import UserHeaders
    from platform_events.kafka.admin import Admin
    from platform_events.kafka.clients import Clients

Model = TypeVar("Model")
_logger = logging.getLogger("platform_events")


class EventBus:
    """One tenant's event bus. Thread-safe; make one for a process and close it at the end.

    Nothing is connected before the first use. A bus that was used does not survive a fork. A bus
    that was never closed is closed at exit. It has a connection of its own; buses of several
    tenants that share one come from a `Cluster`.

    Args:
        settings: all settings; None reads them from the environment.
        overrides: single settings by name, such as `tenant="shop"`, instead of the environment's.

    Raises:
        ConfigurationError: a setting is not allowed.
    """

    settings: Settings
    """The settings in force."""

    def __init__(self, settings: Settings | None = None, **overrides: Any) -> None:
        if settings is not None and overrides:
            raise UsageError("give EventBus either settings or single values, not both")
        settings = settings or Settings(**overrides)
        self._begin(settings, Connection(settings), owns_connection=True)

    @classmethod
    def sharing(cls, connection: Connection, settings: Settings) -> Self:
        """Return a bus that uses a connection with others; raises if that is not usable."""
        bus = cls.__new__(cls)
        bus._begin(settings, connection, owns_connection=False)  # noqa: SLF001
        return bus

    def _begin(self, settings: Settings, connection: Connection, *, owns_connection: bool) -> None:
        self.settings = settings
        self._connection = connection
        self._owns_connection = owns_connection
        self._closed = threading.Event()
        self._subscriptions: weakref.WeakSet[Subscription[Any]] = weakref.WeakSet()
        self._followed: Followed | None = None
        self._publisher: Publisher | None = None
        connection.join(self)

    def publish(
        self,
        event: str,
        payload: Any,
        *,
        headers: UserHeaders | None = None,
        event_id: str | None = None,
    ) -> PublishResult:
        """Publish one event and wait until it is stored.

        Args:
            event: name of the event definition.
            payload: a mapping, a dataclass or a pydantic model; or an `EventMessage`, which has its
                own headers and event ID.
            headers: of the publisher's own.
            event_id: at most 36 characters; None makes a UUID. Give the same one when publishing
                again what became UNKNOWN.

        Raises:
            PublishError: it was not, or may not have been; `result` has the details.
            UnknownStreamError: there is no such event.
            UsageError: `event` is no event's name, or a header or the event ID is not allowed.
            BrokerError: the cluster cannot be asked about the event; nothing was sent.
            ClosedError, ForkedError: this bus is not usable.
        """
        result = self.publishing().publish(event, message_of(payload, event_id), headers)
        if result.status is not PublishStatus.PERSISTED:
            raise PublishError(f"{result.status.value}: {result.error}", result) from result.error
        return result

    def publish_many(
        self,
        event: str,
        payloads: Iterable[Any],
        *,
        headers: UserHeaders | None = None,
    ) -> list[PublishResult]:
        """Publish events in order and wait for all of them.

        Args:
            event: name of the event definition.
            payloads: payloads as `publish` takes them, or `EventMessage`s.
            headers: added to every event.

        Returns:
            One result for each payload, in order. A payload that fails does not stop the others.

        Raises:
            UnknownStreamError, UsageError, BrokerError, ClosedError, ForkedError: before anything
                is sent, as for `publish`.
            Exception: what `payloads` itself raises, once the events before have their results;
                these are in the error's `publish_results`.
        """
        return self.publishing().publish_many(event, payloads, headers)

    def publish_iter(
        self,
        event: str,
        payloads: Iterable[Any],
        *,
        headers: UserHeaders | None = None,
    ) -> Iterator[PublishResult]:
        """Publish events in order and give their results in order, as a stream.

        It takes payloads as results are asked for, with at most `publish_buffer` bytes under way,
        so any number of them needs no more memory than that. Whoever stops asking stops it: no
        further payload is taken, and what was sent stays sent.

        Args:
            event: name of the event definition.
            payloads: payloads as `publish` takes them, or `EventMessage`s.
            headers: added to every event.

        Raises:
            UnknownStreamError, UsageError, BrokerError, ClosedError, ForkedError: from the call
                itself, before anything is sent, as for `publish`.
            ClosedError: the bus was closed meanwhile; after the results of what was sent.
            Exception: what `payloads` itself raises, after the results of the events before.
        """
        publish = self.publishing().publish_chunks
        chunks = publish(event, self.while_usable(payloads), headers)
        return (result for chunk in chunks for result in chunk)

    def while_usable(self, payloads: Iterable[Any]) -> Iterator[Any]:
        """Yield payloads; raise `ClosedError` or `ForkedError` before the next one if need be."""
        for payload in payloads:
            self._check_usable()
            yield payload

    def submit(
        self,
        event: str,
        payload: Any,
        *,
        headers: UserHeaders | None = None,
        event_id: str | None = None,
    ) -> Future[PublishResult]:
        """Publish one event without waiting for its outcome.

        It waits only while the buffer of events on their way is full. The future's result is a
        `PublishResult` of whatever status; it never raises one payload's failure.

        Raises:
            UnknownStreamError, UsageError, BrokerError, ClosedError, ForkedError: before anything
                is sent, as for `publish`.
        """
        return self.publishing().submit(event, message_of(payload, event_id), headers, urgent=False)

    @overload
    def subscribe(
        self,
        stream: str,
        start: StartPoint = None,
        follow: bool = True,
        on_expired: OnExpired = "fail",
        on_undecodable: OnUndecodable = "fail",
        *,
        until: StartPoint = None,
    ) -> Subscription[dict[str, Any]]: ...

    @overload
    def subscribe(
        self,
        stream: str,
        start: StartPoint = None,
        follow: bool = True,
        on_expired: OnExpired = "fail",
        on_undecodable: OnUndecodable = "fail",
        *,
        until: StartPoint = None,
        model: type[Model] | Mapping[str, type[Model]],
    ) -> Subscription[Model]: ...

    @overload
    def subscribe(
        self,
        stream: str,
        start: StartPoint = None,
        follow: bool = True,
        on_expired: OnExpired = "fail",
        on_undecodable: OnUndecodable = "fail",
        *,
        until: StartPoint = None,
        model: UnionType | Mapping[str, type[Any]],
    ) -> Subscription[Any]: ...

    def subscribe(
        self,
        stream: str,
        start: StartPoint = None,
        follow: bool = True,
        on_expired: OnExpired = "fail",
        on_undecodable: OnUndecodable = "fail",
        *,
        until: StartPoint = None,
        model: ModelArgument | None = None,
    ) -> Subscription[Any]:
        """Read a stream. What is published after this returns is seen.

        Args:
            stream: `/event/Name`, or `Name`.
            start: `Start.LATEST` or "latest", `Start.EARLIEST` or "earliest", a replay ID (object,
                text or bytes) to go on after, or a zoned `datetime` for the first event stored at
                or after it. None is the latest when following, otherwise the earliest.
            follow: wait for new events; otherwise stop at the end as it is now.
            on_expired: what to do when events after the start are past retention: `fail`, or go
                on from the `earliest` still there or the `latest`.
            on_undecodable: `fail` raises for a record that cannot be decoded, `skip` logs it.
            until: stop where a subscription with this as its start would begin: after a replay
                ID's event, before the first event stored at or after a time. It does not follow
                then: what is published after the call is not waited for. In a stream of several
                partitions a replay ID must be that of an event that was read.
            model: a dataclass or pydantic model for payloads, a union of some, or a mapping of
                event names to models; None gives dicts.

        Raises:
            UnknownStreamError: there is no such stream.
            ReplayError: the verdict on a replay ID.
            UsageError: an argument is none of the above.
            BrokerError: the cluster cannot be asked.
            ClosedError, ForkedError: this bus is not usable.
        """
        for name, value, words in (
            ("on_expired", on_expired, OnExpired),
            ("on_undecodable", on_undecodable, OnUndecodable),
        ):
            if value not in get_args(words):
                raise UsageError(f"{name} is one of {', '.join(get_args(words))}, not {value!r}")
        follow = follow and until is None
        if follow:
            refuse_green_threads()
        name = stream_name(stream)
        models = None if model is None else Models(model)
        catalog = self.catalog
        clients = self._connection.clients
        admin = clients.admin
        entry = catalog.entry(name)
        if models is not None and isinstance(entry.active, ChannelDefinition):
            models.match([member.event for member in entry.active.members])
        found = find_stream(entry, self.settings.namespace.topic(name), admin)
        if start is None:
            start = Start.LATEST if follow else Start.EARLIEST
        ends = None if follow else resolve_end(until, found, admin)
        beginning = resolve_start(start, found, admin, on_expired)
        position = Position(found, beginning.offsets, beginning.time_ms, ends)
        topic, offsets = found.topic.name, dict(enumerate(position.offsets))
        subscription: Subscription[Any] = Subscription(
            LiveReader(
                self.settings, admin, clients.tail, topic, offsets, dict(enumerate(beginning.ends))
            )
            if ends is None
            else TopicReader(self.settings, topic, offsets),
            position,
            EventDecoder(found.path, catalog, models),
            Recovery(found, admin, clients.watch, catalog, on_expired),
            patience=self.settings.request_timeout,
            skip_undecodable=on_undecodable == "skip",
            guard=self._check_usable,
        )
        self._subscriptions.add(subscription)
        return subscription

    @property
    def catalog(self) -> Catalog:
        """Definitions and schemas of the tenant, as they are now."""
        return self._connected().catalog

    @property
    def admin(self) -> Admin:
        """Topics of the cluster."""
        return self.clients.admin

    @property
    def clients(self) -> Clients:
        """The clients of the cluster, which all who use the connection share."""
        self._connected()
        return self._connection.clients

    @property
    def reading_threads(self) -> Executor:
        """Threads that read for asyncio, and that all who use the connection share."""
        return self._connection.reading_threads

    def close(self) -> None:
        """Wait up to `close_timeout` for events on their way, then end all clients.

        What is still on its way then becomes UNKNOWN, or NOT_PERSISTED if it certainly never left.
        A bus of a `Cluster` leaves the clients to the others. Closing again does nothing.
        """
        if self._owns_connection:
            self._connection.close()
        elif self.stop():
            if self._publisher is not None:
                self._publisher.close(self.settings.close_timeout)
            if self._followed is not None:
                self._followed.leave()

    def stop(self) -> bool:
        """Begin nothing more; return whether there was anything to stop."""
        with self._connection.starting:
            if self._closed.is_set() or self._connection.is_forked:
                return False
            self._closed.set()
        for subscription in list(self._subscriptions):
            subscription.close()
        if self._publisher is not None:
            self._publisher.stop()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_usable(self) -> None:
        if self._connection.is_forked:
            self._connection.check_usable()
        if self._closed.is_set():
            raise ClosedError(
                "the bus is closed; make a new one, or a new Cluster if that is closed"
            )

    def _connected(self) -> Followed:
        self._check_usable()
        if self._followed is None:
            with self._connection.starting:
                self._check_usable()
                if self._followed is None:
                    catalog = Catalog(self.settings, self._connection.clients.admin)
                    self._followed = self._connection.follower().follow(catalog)
                    # For a bus that is dropped without a close. It is called wherever that is,
                    # within any lock perhaps.
                    weakref.finalize(self, self._followed.leave).atexit = False
        return self._followed

    def publishing(self) -> Publisher:
        """Return the publisher that all calls share."""
        followed = self._connected()
        if self._publisher is None:
            with self._connection.starting:
                self._check_usable()
                if self._publisher is None:
                    clients = self._connection.clients
                    self._publisher = Publisher(self.settings, followed.catalog, clients)
                    followed.after_look = self._publisher.learn
                    followed.let_go = self._publisher.let_go
                    followed.refresh = TRUSTED_FOR / 2
        return self._publisher
