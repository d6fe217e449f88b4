"""A tenant of its own, whose events stay and whose channels come and go."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.deployment import delete_topics, environment, tenant_prefix
from platform_events.catalog.apply import apply, plan_options
from platform_events.errors import PlatformEventsError
from platform_events.files.loader import load_definitions
from platform_events.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Members = dict[str, str]
"""The events of a channel with their filters; an empty one lets all pass."""


class Stage:
    """A tenant and the folder of its definitions.

    Args:
        bootstrap_servers: a running broker.
        folder: an empty directory.
    """

    def __init__(self, bootstrap_servers: str, folder: Path) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.tenant = f"bench-{uuid4().hex[:8]}"
        self.folder = folder
        self._channels = folder / "channels"
        self._channels.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """The environment of processes that work in this tenant."""
        return environment(self.bootstrap_servers, self.tenant)

    def topic(self, name: str) -> str:
        """Return the topic of an event or channel."""
        return tenant_prefix(self.tenant) + name

    def set_channels(
        self, channels: Mapping[str, Members], partitions: Mapping[str, int] | None = None
    ) -> None:
        """Let the tenant have exactly these channels.

        Args:
            channels: the members of each.
            partitions: of those channels that have more than one.

        Raises:
            RuntimeError: the definitions were refused, or the broker failed.
        """
        for old in self._channels.iterdir():
            old.unlink()
        for name, members in channels.items():
            text = json.dumps(_document(name, members, (partitions or {}).get(name, 1)), indent=2)
            (self._channels / f"{name}.yaml").write_text(text, encoding="utf-8")
        settings = Settings(bootstrap_servers=self.bootstrap_servers, tenant=self.tenant)
        try:
            definitions = load_definitions(self.folder)
            apply(settings, definitions, plan_options(settings, prune=True))
        except PlatformEventsError as error:
            raise RuntimeError(str(error)) from error


@contextmanager
def staged(bootstrap_servers: str, write_events: Callable[[Path], None]) -> Iterator[Stage]:
    """Make a tenant with the events that `write_events` writes; its topics are deleted afterwards.

    Raises:
        RuntimeError: the definitions were refused, or the broker failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(bootstrap_servers, Path(folder))
        write_events(stage.folder)
        try:
            stage.set_channels({})
            yield stage
        finally:
            delete_topics(bootstrap_servers, tenant_prefix(stage.tenant))


def _document(name: str, members: Members, partitions: int) -> dict[str, Any]:
    return {
        "channel": name,
        "partitions": partitions,
        "members": [
            {"event": event} | ({"filter": text} if text else {}) for event, text in members.items()
        ],
    }
