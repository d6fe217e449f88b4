"""The embedded Kafka as the commands `up` and `demo` run it."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from platform_events.cli.terminal.output import note
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress, TaskID

    from platform_events.cli.connection import Connection
    from platform_events.kafka.local import LocalKafka
    from platform_events.settings import Settings

_MEGABYTE = 1_000_000


@contextmanager
def running_kafka(**options: Any) -> Iterator[LocalKafka]:
    """Run an embedded Kafka for the length of a `with`; `options` are those of `LocalKafka`.

    The first download shows its progress on stderr.

    Raises:
        LocalBrokerError: it cannot be downloaded or started.
        UsageError: an option is not allowed.
    """
    from platform_events.kafka.local import LocalKafka

    download = _Download()
    kafka = LocalKafka(**options, progress=download.advance)
    try:
        try:
            kafka.start()
        finally:
            download.close()
        yield kafka
    finally:
        kafka.stop()


def local_settings(connection: Connection, kafka: LocalKafka) -> Settings:
    """Return the user's settings, except those that are about another cluster than this one.

    Raises:
        ConfigurationError: a setting is not allowed.
    """
    return connection.settings().model_copy(
        update={
            "bootstrap_servers": kafka.bootstrap_servers,
            "kafka": {},
            "replication_factor": -1,
            "min_insync_replicas": None,
        }
    )


def refuse_other_cluster(connection: Connection, command: str, advice: str) -> None:
    """Refuse a command line that names a cluster for a command that starts its own.

    Raises:
        UsageError: it has `--bootstrap-servers`.
    """
    if connection.bootstrap_servers is not None:
        raise UsageError(
            f"{command} starts a Kafka of its own, so --bootstrap-servers does not go with it; "
            f"{advice}"
        )


class _Download:
    """Shows a download from its first byte on: a bar on a terminal, else one line."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._is_told = False

    def advance(self, done: int, total: int) -> None:
        """Show that `done` of `total` bytes are there."""
        if not self._is_told:
            self._is_told = True
            self._begin(total)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _begin(self, total: int) -> None:
        if not sys.stderr.isatty():
            note(f"downloading Kafka, {total / _MEGABYTE:.0f} MB, once on this machine")
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

        self._bar = Progress(
            "downloading Kafka, once on this machine",
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)
        self._bar.start()
