"""A compacted topic as a ledger: transactions of one writer at a time, all records or none."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from platform_events.errors import ApplyConflictError, FencedError, RecordRejectedError
from platform_events.kafka.producer import MAX_BATCH_BYTES
from platform_events.kafka.transactions import TransactionalProducer
from platform_events.wording import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from platform_events.kafka.admin import Admin
    from platform_events.settings import Settings

_FENCE_KEY = "fence"
_TRANSACTION_TIMEOUT_MS = 60_000
_LOOK_AGAIN = 0.005
"""Seconds."""


class FencedWriter:
    """The only writer of its kind of a topic: opening one ends every other, wherever it runs.

    Args:
        settings: which cluster.
        topic: which; its name is the transactional ID.
        doing: in words, for errors.
        timeout_ms: after this long without an end the cluster aborts what was begun. Until then
            nothing behind it is read.

    Raises:
        BrokerError: the cluster cannot be reached or does not allow it.
    """

    def __init__(self, settings: Settings, topic: str, doing: str, timeout_ms: int) -> None:
        self._topic = topic
        self._doing = doing
        self._producer = TransactionalProducer(
            settings, topic, doing, timeout_ms=timeout_ms, max_bytes=MAX_BATCH_BYTES
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close()

    def write(self, records: Iterable[tuple[int, bytes | str, bytes | None]]) -> None:
        """Write all records or none: each a partition, a key, and a value or a tombstone.

        Raises:
            FencedError: another writer was opened since; nothing was written.
            RecordRejectedError: a record is too large; nothing was written.
            BrokerTimeoutError: the outcome is not known; read the topic again.
            BrokerError: nothing was written.
        """
        self._producer.begin()
        for partition, key, value in records:
            if not self._producer.produce(self._topic, value, key, partition):
                self._producer.abort()
                name = key if isinstance(key, str) else key.decode(errors="replace")
                raise RecordRejectedError(
                    f"{self._doing}: {cut(name)} is larger than {MAX_BATCH_BYTES:,} bytes"
                )
        self._producer.commit()


class LedgerWriter(FencedWriter):
    """The only writer of the catalog.

    Raises:
        BrokerError: the cluster cannot be reached or does not allow it.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        super().__init__(settings, topic, "writing the catalog", _TRANSACTION_TIMEOUT_MS)

    def commit(self, records: Mapping[str, bytes | None]) -> None:
        """Write all records or none; None as value is a tombstone.

        Raises:
            ApplyConflictError: another writer was opened since; nothing was written.
            RecordRejectedError: a record is too large; nothing was written.
            BrokerTimeoutError: the outcome is not known; read the ledger again.
            BrokerError: nothing was written.
        """
        with _conflicts():
            self.write((0, key, value) for key, value in records.items())

    def check_fence(self) -> None:
        """Make sure that no other writer was opened.

        It writes a record: an empty transaction never reaches the broker, so it checks nothing.

        Raises:
            ApplyConflictError: another one was.
        """
        self.commit({_FENCE_KEY: b"{}"})


def await_readable(settings: Settings, admin: Admin, topic: str, partitions: int = 1) -> None:
    """Wait until readers see what was committed, but not for long: it is committed.

    The broker confirms a commit before it has written the marker that lets readers pass.
    """
    ends = admin.log_ends(topic, partitions)
    deadline = time.monotonic() + settings.request_timeout
    while time.monotonic() < deadline:
        marks = admin.watermarks({topic: partitions})[topic]
        if all(stable >= end for (_, stable), end in zip(marks, ends, strict=True)):
            break
        time.sleep(_LOOK_AGAIN)


@contextmanager
def _conflicts() -> Iterator[None]:
    try:
        yield
    except FencedError as error:
        raise ApplyConflictError(
            "another apply for this tenant took over; the catalog is consistent, look at the plan "
            "and apply again"
        ) from error
