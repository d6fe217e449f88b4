"""The tenants of a service: one connection, and of each tenant what it has."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from platform_events.errors import PlatformEventsError, UnknownSchemaError
from platform_events.names import is_channel_name, is_event_name
from platform_events.service.access import tenant_id
from platform_events.service.errors import TOPIC_UNAVAILABLE, call_error, topic_not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.bus.bus import EventBus
    from platform_events.bus.cluster import Cluster
    from platform_events.catalog.live import Catalog
    from platform_events.catalog.state import Entry
    from platform_events.definitions.schema import Schema
    from platform_events.service.access import Session
    from platform_events.service.principals import Right

Answer = TypeVar("Answer")
_PREFIX = "/event/"
_THREADS = 16
_REFRESH_SECONDS = 1.0
"""From one refresh of a catalog to the next because of names that nobody knows."""


class Tenant:
    """One tenant's events and channels. For the event loop.

    Args:
        bus: the tenant's.
        catalog: of the bus.
        threads: wait for Kafka.
    """

    def __init__(self, bus: EventBus, catalog: Catalog, threads: ThreadPoolExecutor) -> None:
        self.name = bus.settings.tenant
        self.id = tenant_id(self.name)
        """By which clients know it."""
        self.bus = bus
        self.catalog = catalog
        self._threads = threads
        self._refreshed_at = -_REFRESH_SECONDS
        self._coming: asyncio.Task[None] | None = None
        """The refresh that has not begun."""

    async def run(self, ask: Callable[[], Answer]) -> Answer:
        """Return the answer of a call that waits for Kafka; it raises what the call does."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def entry(self, topic_name: str, session: Session, *rights: Right) -> Entry:
        """Return the active event or channel of a topic's name.

        Args:
            topic_name: as the caller gave it.
            session: the caller.
            rights: one of them is needed.

        Raises:
            CallError: there is none, or the caller has no right to it: both look the same, and
                take as long.
        """
        name = topic_name.removeprefix(_PREFIX)
        is_name = topic_name.startswith(_PREFIX) and (is_event_name(name) or is_channel_name(name))
        if not is_name or not any(session.may(right, name) for right in rights):
            raise topic_not_found(topic_name)
        entry = self._find(name)
        if entry is None:
            try:
                await self.refresh()
            except PlatformEventsError as error:
                raise call_error(error, TOPIC_UNAVAILABLE, topic_name) from error
            entry = self._find(name)
        if entry is None:
            raise topic_not_found(topic_name)
        return entry

    async def schema(self, schema_id: str) -> Schema:
        """Return a schema that was ever applied in the tenant.

        Raises:
            UnknownSchemaError: there is none with this ID.
            CatalogCorruptError: its record cannot be read.
            BrokerError: the catalog cannot be read.
        """
        found = self.catalog.cached_schema(schema_id)
        if found is None:
            await self.refresh()
            found = self.catalog.cached_schema(schema_id)
        if found is None:
            raise UnknownSchemaError(schema_id, f"schema {schema_id} was never applied")
        return found

    def _find(self, name: str) -> Entry | None:
        entry = self.catalog.cached(name)
        return entry if entry is not None and entry.active is not None else None

    async def refresh(self) -> None:
        """Know everything that was applied before this call.

        Whoever asks before the next refresh begins shares it: unknown names cost one a second.

        Raises:
            BrokerError: the catalog cannot be read.
        """
        if self._coming is None:
            self._coming = asyncio.create_task(self._refresh_next())
        await asyncio.shield(self._coming)

    async def _refresh_next(self) -> None:
        await asyncio.sleep(self._refreshed_at + _REFRESH_SECONDS - time.monotonic())
        self._coming = None
        self._refreshed_at = time.monotonic()
        await self.run(self.catalog.refresh)


class Tenants:
    """The tenants of a cluster, each made when it is first asked for. For the event loop.

    Args:
        cluster: their connection.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._tenants: dict[str, asyncio.Task[Tenant]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, "platform-events-service")

    async def of(self, session: Session) -> Tenant:
        """Return the caller's tenant."""
        return await self.named(session.tenant)

    async def named(self, name: str) -> Tenant:
        """Return the tenant of a name.

        Raises:
            ConfigurationError: a property of the user's is not accepted.
        """
        task = self._tenants.get(name)
        if task is None:
            task = self._tenants[name] = asyncio.create_task(self._make(name))
            task.add_done_callback(partial(self._forget_failed, name))
        return await asyncio.shield(task)

    def close(self) -> None:
        """Begin nothing more; the cluster is closed by whoever has made it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget_failed(self, name: str, task: asyncio.Task[Tenant]) -> None:
        """Have a tenant that could not be made tried again by whoever asks next."""
        if task.cancelled() or task.exception() is not None:
            del self._tenants[name]

    async def _make(self, name: str) -> Tenant:
        loop = asyncio.get_running_loop()
        bus = self._cluster.bus(name)
        catalog = await loop.run_in_executor(self._threads, lambda: bus.catalog)
        return Tenant(bus, catalog, self._threads)
