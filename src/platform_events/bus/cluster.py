"""Cluster: one connection for the buses of many tenants."""

from __future__ import annotations

from typing import Any, Self

from platform_events.bus.aio import AsyncEventBus
from platform_events.bus.bus import EventBus
from platform_events.bus.connection import Connection
from platform_events.errors import UsageError
from platform_events.settings import Settings
from platform_events.wording import shown


class Cluster:
    """One connection to a cluster, for any number of tenants. Thread-safe.

    Its buses share the Kafka clients and threads, which do not become more with them. Make one for
    a process and set of credentials, and of it one bus for each tenant. Each bus has its own part
    of `publish_buffer`, so one that publishes more than the cluster takes holds up no other.

    Nothing is connected before the first use. A cluster that was used does not survive a fork. One
    that was never closed is closed at exit.

    Args:
        settings: all settings; None reads them from the environment. Their `tenant` is not used.
        overrides: single settings by name, such as `linger=20`, instead of the environment's.

    Raises:
        ConfigurationError: a setting is not allowed.
        UsageError: `tenant` is among the single settings: it is what `bus` takes.
    """

    def __init__(self, settings: Settings | None = None, **overrides: Any) -> None:
        if settings is not None and overrides:
            raise UsageError("give Cluster either settings or single values, not both")
        if "tenant" in overrides:
            raise UsageError("a Cluster is for any tenant: leave tenant out, and give it to bus()")
        self._connection = Connection(settings or Settings(**overrides))

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""
        return self._connection.settings

    def bus(
        self, tenant: str, *, source: str | None = None, created_by: str | None = None, **other: Any
    ) -> EventBus:
        """Return a bus of a tenant, which uses this connection.

        Closing it waits for its own events and leaves the connection to the others.

        Args:
            tenant: whose events and channels.
            source: CloudEvents `source` of what it publishes; None is the cluster's.
            created_by: `CreatedById` of what it publishes; None is the cluster's.
            other: nothing: whatever else can be set belongs to the connection.

        Raises:
            ConfigurationError: tenant, source or `created_by` is not allowed.
            UsageError: something else is given.
            ClosedError, ForkedError: this cluster is not usable.
        """
        return EventBus.sharing(self._connection, self._settings(tenant, source, created_by, other))

    def async_bus(
        self, tenant: str, *, source: str | None = None, created_by: str | None = None, **other: Any
    ) -> AsyncEventBus:
        """Return a bus for asyncio, of a tenant; takes and raises what `bus` does."""
        return AsyncEventBus.over(self.bus(tenant, source=source, created_by=created_by, **other))

    def close(self) -> None:
        """Close all buses, wait up to `close_timeout` for events on their way, end all clients.

        What is still on its way then becomes UNKNOWN, or NOT_PERSISTED if it certainly never left.
        Closing again does nothing.
        """
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settings(
        self, tenant: str, source: str | None, created_by: str | None, other: dict[str, Any]
    ) -> Settings:
        for name in other:
            if name == "settings" or name in Settings.model_fields:
                raise UsageError(
                    f"{name} belongs to the connection, which all buses of a Cluster share: make "
                    "another Cluster with it"
                )
            raise UsageError(
                f"there is no {shown(name)}: a bus of a Cluster takes tenant, source and created_by"
            )
        return self._connection.settings.of_tenant(tenant, source, created_by)
