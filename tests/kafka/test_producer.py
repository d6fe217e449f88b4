"""When a failed delivery is certainly not in the log: reports that no broker makes on demand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, Message

from platform_events.kafka.outbox import Delivery, Outbox
from platform_events.kafka.producer import RecordProducer
from platform_events.settings import Settings

REFUSED = KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.fixture
def producer() -> Iterator[RecordProducer]:
    producer = RecordProducer(Settings(bootstrap_servers="127.0.0.1:1"))
    yield producer
    producer.close(0)


def report(
    producer: RecordProducer,
    code: int,
    *,
    partition: int = 0,
    latency: float = 0.1,
    trouble_meanwhile: bool = False,
) -> bool | None:
    """Deliver one report and return what it says about the log."""
    delivery = Delivery(Outbox(producer))
    delivery.cost = 0
    delivery.troubles = producer.health.transport_errors
    if trouble_meanwhile:
        producer.health.note(KafkaError(KafkaError._TRANSPORT))
    delivery(KafkaError(code), Message(partition=partition, latency=latency))
    assert delivery.settled
    return delivery.in_log


def test_a_record_that_never_had_a_partition_was_never_sent(producer: RecordProducer) -> None:
    assert report(producer, KafkaError._MSG_TIMED_OUT, partition=-1) is False
    assert report(producer, KafkaError._PURGE_QUEUE, partition=-1) is False


@pytest.mark.parametrize(
    "code",
    [
        KafkaError._MSG_TIMED_OUT,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._TRANSPORT,
    ],
)
def test_a_record_that_had_one_may_have_been_sent(producer: RecordProducer, code: int) -> None:
    assert report(producer, code) is None


def test_a_definite_no_is_certain(producer: RecordProducer) -> None:
    assert report(producer, REFUSED) is False
    assert report(producer, KafkaError.MSG_SIZE_TOO_LARGE) is False


def test_a_no_after_an_unanswered_attempt_is_not(producer: RecordProducer) -> None:
    assert report(producer, REFUSED, trouble_meanwhile=True) is None
    assert report(producer, REFUSED, latency=31.0) is None
