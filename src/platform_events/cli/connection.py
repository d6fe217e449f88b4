"""Which cluster and tenant the commands talk to; for `up` and `demo` the embedded one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.bus.bus import EventBus
    from platform_events.kafka.local import LocalKafka
    from platform_events.settings import Settings


@dataclass(frozen=True, slots=True)
class Connection:
    """The program's own options; everything else is in the environment."""

    bootstrap_servers: str | None = None
    """`--bootstrap-servers`; None: the environment's."""
    tenant: str | None = None
    """`--tenant`; None: the environment's."""

    def settings(self, **overrides: Any) -> Settings:
        """Return the settings with these options and `overrides` on top.

        Raises:
            ConfigurationError: a setting is not allowed.
        """
        from platform_events.settings import Settings

        given = {"bootstrap_servers": self.bootstrap_servers, "tenant": self.tenant}
        options = {name: value for name, value in given.items() if value is not None}
        return Settings(**options, **overrides)

    def bus(self) -> EventBus:
        """Return a bus with these settings; raises as `settings` does."""
        from platform_events.bus.bus import EventBus

        return EventBus(self.settings())

    def local_settings(self, kafka: LocalKafka) -> Settings:
        """Return the user's settings, except those that are about another cluster than this one.

        Raises:
            ConfigurationError: a setting is not allowed.
        """
        return self.settings().model_copy(
            update={
                "bootstrap_servers": kafka.bootstrap_servers,
                "kafka": {},
                "replication_factor": -1,
                "min_insync_replicas": None,
            }
        )

    def refuse_other_cluster(self, command: str, advice: str) -> None:
        """Refuse a command line that names a cluster for a command that starts its own.

        Raises:
            UsageError: it has `--bootstrap-servers`.
        """
        if self.bootstrap_servers is not None:
            raise UsageError(
                f"{command} starts a Kafka of its own, so --bootstrap-servers does not go with it; "
                f"{advice}"
            )


@contextmanager
def running_kafka(**options: Any) -> Iterator[LocalKafka]:
    """Run an embedded Kafka for the length of a `with`; `options` are those of `LocalKafka`.

    The first download shows its progress on stderr.

    Raises:
        LocalBrokerError: it cannot be downloaded or started.
        UsageError: an option is not allowed.
    """
    from platform_events.cli.terminal.progress import DownloadProgress
    from platform_events.kafka.local import LocalKafka

    download = DownloadProgress()
    kafka = LocalKafka(**options, progress=download.advance)
    try:
        try:
            kafka.start()
        finally:
            download.close()
        yield kafka
    finally:
        kafka.stop()
