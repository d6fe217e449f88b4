"""One connection for all workers of a process that use the same cluster."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from platform_events.bus.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.bus.bus import EventBus
    from platform_events.settings import Settings

_OF_TENANT = {"tenant", "source", "created_by"}


class _Shared:
    """A cluster, and how many use it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cluster = Cluster(settings)
        self.users = 0

    def suits(self, settings: Settings) -> bool:
        """Whether it is the cluster of these settings, whatever their tenant."""
        return _of_cluster(self.settings) == _of_cluster(settings)


def _of_cluster(settings: Settings) -> dict[str, object]:
    return {name: value for name, value in settings if name not in _OF_TENANT}


_clusters: list[_Shared] = []
_sharing = threading.Lock()


@contextmanager
def shared_bus(settings: Settings) -> Iterator[EventBus]:
    """Give a bus whose connection is everybody's who asks with the same settings. Thread-safe.

    Leaving closes the bus, and the connection after its last user; that may take `close_timeout`.

    Raises:
        ConfigurationError: a setting is not allowed.
    """
    with _sharing:
        shared = next((one for one in _clusters if one.suits(settings)), None)
        if shared is None:
            shared = _Shared(settings)
            _clusters.append(shared)
        shared.users += 1
    try:
        with shared.cluster.bus(
            settings.tenant, source=settings.source, created_by=settings.created_by
        ) as bus:
            yield bus
    finally:
        with _sharing:
            shared.users -= 1
            is_last = not shared.users
            if is_last and shared in _clusters:
                _clusters.remove(shared)
        if is_last:
            shared.cluster.close()


def _forget() -> None:
    """Begin again in a forked child: the connections are its parent's."""
    global _sharing  # noqa: PLW0603 - the parent's lock may be held for ever here
    _sharing = threading.Lock()
    _clusters.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
