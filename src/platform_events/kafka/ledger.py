"""A compacted topic as a ledger: fenced transactional writes, reads to the end."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from platform_events.errors import ApplyConflictError, FencedError, RecordRejectedError
from platform_events.kafka.producer import MAX_BATCH_BYTES
from platform_events.kafka.transactions import TransactionalProducer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from platform_events.settings import Settings

_FENCE_KEY = "fence"
_TRANSACTION_TIMEOUT_MS = 60_000


class LedgerWriter:
    """The only writer of a ledger: opening one ends every other, wherever it runs.

    Raises:
        BrokerError: the cluster cannot be reached or does not allow it.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._producer = TransactionalProducer(
            settings,
            topic,
            "writing the catalog",
            timeout_ms=_TRANSACTION_TIMEOUT_MS,
            max_bytes=MAX_BATCH_BYTES,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close()

    def commit(self, records: Mapping[str, bytes | None]) -> None:
        """Write all records or none; None as value is a tombstone.

        Raises:
            ApplyConflictError: another writer was opened since; nothing was written.
            RecordRejectedError: a record is too large; nothing was written.
            BrokerTimeoutError: the outcome is not known; read the ledger again.
            BrokerError: nothing was written.
        """
        with _conflicts():
            self._producer.begin()
            for key, value in records.items():
                if not self._producer.produce(self._topic, value, key, 0):
                    self._producer.abort()
                    raise RecordRejectedError(
                        f"writing the catalog: {key} is larger than {MAX_BATCH_BYTES:,} bytes"
                    )
            self._producer.commit()

    def check_fence(self) -> None:
        """Make sure that no other writer was opened.

        It writes a record: an empty transaction never reaches the broker, so it checks nothing.

        Raises:
            ApplyConflictError: another one was.
        """
        self.commit({_FENCE_KEY: b"{}"})


@contextmanager
def _conflicts() -> Iterator[None]:
    try:
        yield
    except FencedError as error:
        raise ApplyConflictError(
            "another apply for this tenant took over; the catalog is consistent, look at the plan "
            "and apply again"
        ) from error
