"""Writing in transactions: all records and offsets of one, or none, by one writer at a time."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from platform_events.errors import BrokerError, BrokerTimeoutError, FencedError
from platform_events.kafka.connection import make_client
from platform_events.kafka.faults import is_rejection, kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from platform_events.kafka.offsets import Committed
    from platform_events.settings import Settings

_FENCED = (
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
)
_FULL_SLICE = 0.1
"""Seconds to serve deliveries before a full queue is tried again."""
_REPORT_SECONDS = 1.0
"""How long a record's report may come after the client's first refusal because of it."""
_GRACE = 5.0
"""Seconds beyond the time-out after which the client is not trusted any more."""
_logger = logging.getLogger("platform_events")


class TransactionalProducer:
    """The only writer under its transactional ID: opening one ends every other's transaction.

    Use it from one thread, and throw it away after an error: what was committed is known only to
    the cluster, and opening the next one waits until the cluster has settled it.

    Args:
        settings: which cluster.
        transactional_id: whom it fences.
        doing: in words, for errors.
        timeout_ms: after this long without an end the cluster aborts a transaction by itself.
        max_bytes: largest batch.

    Raises:
        BrokerError: the cluster cannot be reached or does not allow it.
    """

    def __init__(
        self,
        settings: Settings,
        transactional_id: str,
        doing: str,
        *,
        timeout_ms: int,
        max_bytes: int,
    ) -> None:
        self._doing = doing
        self._is_stuck = False
        self._timeout = settings.request_timeout
        self._health = Health(settings.bootstrap_servers)
        self._refusal: KafkaError | None = None
        """Why a broker refused a record. The client itself soon speaks of its own state only."""
        properties: Mapping[str, Any] = {
            "transactional.id": transactional_id,
            "enable.idempotence": True,
            "acks": "all",
            "transaction.timeout.ms": timeout_ms,
            "compression.type": settings.compression,
            "linger.ms": settings.linger,
            "message.max.bytes": max_bytes,
            "delivery.report.only.error": True,
            "queue.buffering.max.kbytes": settings.publish_buffer // 1024,
        }
        # A broker answers CONCURRENT_TRANSACTIONS once, and the client waits this long.
        defaults = {"retry.backoff.ms": 1}
        self._producer = make_client(Producer, settings, self._health, properties, defaults)
        self._produce: Any = self._producer.produce
        protect(self)
        with self._translated():
            self._producer.init_transactions(self._timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self) -> None:
        """Begin a transaction."""
        with self._translated():
            self._producer.begin_transaction()

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | str | None,
        partition: int,
        headers: list[tuple[str, bytes | None]] | None = None,
    ) -> bool:
        """Write a record in the transaction.

        Returns:
            False if the record is too large to be sent; the transaction can go on without it.

        Raises:
            RecordRejectedError: some record of the transaction was refused; nothing was written.
            BrokerError: the transaction failed.
        """
        while True:
            try:
                # By position, which is faster: two names for the callback, then the time.
                self._produce(topic, value, key, partition, self._note, None, 0, headers)
            except BufferError:
                self._producer.poll(_FULL_SLICE)
            except KafkaException as exception:
                if kafka_error(exception).code() == KafkaError.MSG_SIZE_TOO_LARGE:
                    return False
                self._hear_why(exception)
                raise self._explain(exception) from exception
            else:
                return True

    def send_offsets(self, offsets: Iterable[Committed], group: Any) -> None:
        """Commit a group's offsets with the transaction.

        Args:
            offsets: the next offset of each partition.
            group: the group's token.
        """
        positions = [
            TopicPartition(one.topic, one.partition, one.offset, one.metadata) for one in offsets
        ]
        with self._translated():
            self._in_time(
                partial(self._producer.send_offsets_to_transaction, positions, group, self._timeout)
            )

    def commit(self) -> None:
        """Commit the transaction.

        Raises:
            FencedError: another writer was opened since; what that one finds is what was written.
            BrokerTimeoutError: the outcome is not known.
            RecordRejectedError: a record is refused for good; nothing was written.
            BrokerError: nothing was written.
        """
        with self._translated():
            self._producer.commit_transaction(self._timeout)

    def abort(self) -> None:
        """Give the transaction up."""
        if self._is_stuck:
            return
        with self._translated():
            self._producer.abort_transaction(self._timeout)

    def serve(self) -> None:
        """Let the client deliver what it has to say; call it now and then."""
        with self._translated():
            self._producer.poll(0)

    def close(self) -> None:
        """End the client. A transaction under way is aborted by the next writer, or in time."""
        # The last reference ends the client, which does not wait for anything.
        del self._producer, self._produce

    def _in_time(self, call: Callable[[], None]) -> None:
        """Call the client, and leave it to itself if it does not return.

        It waits for ever for a group coordinator that was restarted in the middle, whatever its
        time-out says (tried, librdkafka 2.16, confluentinc/librdkafka issues 5456 and 5511). The
        thread and the client end when it finds another coordinator, or with the process.
        """
        outcome: Future[None] = Future()

        def work() -> None:
            try:
                call()
            except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
                outcome.set_exception(error)
            else:
                outcome.set_result(None)

        threading.Thread(target=work, name="send-offsets", daemon=True).start()
        try:
            outcome.result(self._timeout + _GRACE)
        except TimeoutError:
            self._is_stuck = True
            raise BrokerTimeoutError(
                f"{self._doing}: the coordinator of its positions did not answer in "
                f"{self._timeout:g} s; a new client tries again"
            ) from None

    def _note(self, error: KafkaError | None, _: object) -> None:
        if error is not None and self._refusal is None and is_rejection(error):
            self._refusal = error

    def _hear_why(self, exception: KafkaException) -> None:
        """Take what the client's callbacks say of an error; a fatal one is raised here once more.

        The client refuses calls a moment before it reports the record for which it does.
        """
        is_late = kafka_error(exception).code() == KafkaError._STATE
        deadline = time.monotonic() + (_REPORT_SECONDS if is_late else 0.0)
        with suppress(KafkaException):
            self._producer.poll(0)
            while self._refusal is None and time.monotonic() < deadline:
                self._producer.poll(_FULL_SLICE)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as exception:
            self._hear_why(exception)
            error = self._explain(exception)
            if kafka_error(exception).txn_requires_abort():
                try:
                    self._producer.abort_transaction(self._timeout)
                except KafkaException as abort:
                    if kafka_error(abort).code() in _FENCED:
                        # A broker may have no better word than UNKNOWN for who is just fenced.
                        raise self._explain(abort) from exception
                    _logger.warning("the transaction times out by itself: %s", abort)
            raise error from exception

    def _explain(self, exception: KafkaException) -> BrokerError:
        error = kafka_error(exception)
        if error.code() in _FENCED:
            return FencedError(
                f"{self._doing}: another process took over, or a time-out ended the transaction",
                error.name(),
            )
        return translate(self._refusal or error, self._doing, self._health)
