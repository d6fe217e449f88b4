"""A compacted topic as a ledger: fenced transactional writes, reads to the end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from platform_events.errors import ApplyConflictError, BrokerTimeoutError
from platform_events.kafka.connection import Health, client_config, refuse_property
from platform_events.kafka.faults import kafka_error, translate
from platform_events.kafka.forks import protect
from platform_events.kafka.producer import MAX_BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from platform_events.settings import Settings

_FENCED = (
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
)
_logger = logging.getLogger("platform_events")
_FENCE_KEY = "fence"


class LedgerWriter:
    """The only writer of a ledger: opening one ends every other, wherever it runs.

    Raises:
        BrokerError: the cluster cannot be reached or does not allow it.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._topic = topic
        self._timeout = settings.request_timeout
        self._health = Health(settings.bootstrap_servers)
        self._failure: KafkaError | None = None
        properties = {
            "transactional.id": topic,
            "enable.idempotence": True,
            "acks": "all",
            "transaction.timeout.ms": 60_000,
            "retry.backoff.ms": settings.kafka.get("retry.backoff.ms", 5),
            "message.max.bytes": MAX_BATCH_BYTES,
        }
        try:
            self._producer = Producer(client_config(settings, self._health, properties))
        except (KafkaException, TypeError, ValueError) as error:
            raise refuse_property(error) from error
        protect(self)
        self._run("opening the catalog", lambda: self._producer.init_transactions(self._timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        del self._producer

    def commit(self, records: Mapping[str, bytes | None]) -> None:
        """Write all records or none; None as value is a tombstone.

        Raises:
            ApplyConflictError: another writer was opened since; nothing was written.
            BrokerTimeoutError: the outcome is not known; read the ledger again.
            BrokerError: nothing was written.
        """
        self._run("writing the catalog", lambda: self._transact(records))

    def check_fence(self) -> None:
        """Make sure that no other writer was opened.

        It writes a record: an empty transaction never reaches the broker, so it checks nothing.

        Raises:
            ApplyConflictError: another one was.
        """
        self.commit({_FENCE_KEY: b"{}"})

    def _transact(self, records: Mapping[str, bytes | None]) -> None:
        self._producer.begin_transaction()
        for key, value in records.items():
            self._producer.produce(self._topic, value, key, 0, on_delivery=self._note)
        self._producer.commit_transaction(self._timeout)

    def _note(self, error: KafkaError | None, _: object) -> None:
        self._failure = error or self._failure

    def _run(self, doing: str, step: Callable[[], None]) -> None:
        try:
            step()
        except KafkaException as exception:
            self._producer.poll(0)
            error = kafka_error(exception)
            if error.code() in _FENCED:
                raise ApplyConflictError(
                    "another apply for this tenant took over; the catalog is consistent, "
                    "look at the plan and apply again"
                ) from exception
            translated = translate(self._failure or error, doing, self._health)
            if not isinstance(translated, BrokerTimeoutError) and error.txn_requires_abort():
                try:
                    self._producer.abort_transaction(self._timeout)
                except KafkaException as abort:
                    _logger.warning("the transaction times out by itself: %s", abort)
            raise translated from exception
