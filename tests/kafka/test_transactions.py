"""What becomes of a transaction whose client fails in ways that a broker does not offer."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from platform_events.errors import BrokerTimeoutError, FencedError, RecordRejectedError
from platform_events.kafka import transactions
from platform_events.kafka.admin import Admin
from platform_events.kafka.offsets import Committed, GroupOffsets
from platform_events.kafka.transactions import TransactionalProducer
from platform_events.settings import Settings
from tests.channels.stored import read_topic

GROUP = "some-group"


class Faulty:
    """A client of which some calls are others."""

    def __init__(self, client: Any, **calls: Any) -> None:
        self._client = client
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return self._calls.get(name) or getattr(self._client, name)


@pytest.fixture
def topic(settings: Settings) -> str:
    name = settings.namespace.topic("A__e")
    with Admin(settings) as admin:
        admin.create(name, 1, 1, {})
        admin.await_topic(name)
    return name


@pytest.fixture
def producer(settings: Settings) -> Iterator[TransactionalProducer]:
    with open_producer(settings) as producer:
        yield producer


def open_producer(settings: Settings) -> TransactionalProducer:
    return TransactionalProducer(
        settings, f"{settings.tenant}-one", "testing", timeout_ms=30_000, max_bytes=1_000_000
    )


def test_a_client_that_does_not_return_is_left_to_itself(
    settings: Settings,
    topic: str,
    producer: TransactionalProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transactions, "_GRACE", -9.5)
    released = threading.Event()
    never = Faulty(producer._producer, send_offsets_to_transaction=lambda *_: released.wait(60))
    producer._producer = never  # type: ignore[assignment]
    position = Committed(topic, 0, 7, "x")
    with GroupOffsets(settings, GROUP, stable=True) as offsets:
        token = offsets.token()
        producer.begin()
        producer.produce(topic, b"lost", None, 0)
        with pytest.raises(BrokerTimeoutError, match="testing: the coordinator"):
            producer.send_offsets([position], token)
        producer.abort()
        with open_producer(settings) as after:
            after.begin()
            after.produce(topic, b"kept", None, 0)
            monkeypatch.undo()
            after.send_offsets([position], token)
            after.commit()
        released.set()
        found = offsets.read([(topic, 0)])
    assert found == {(topic, 0): position}
    assert [row.value for row in read_topic(settings, topic)[0]] == [b"kept"]


def test_who_is_fenced_is_told_so_whatever_the_first_word_was(
    producer: TransactionalProducer,
) -> None:
    def fail(code: int, **more: bool) -> Any:
        def call(*_: Any) -> None:
            raise KafkaException(KafkaError(code, "injected", **more))

        return call

    producer.begin()
    faulty = Faulty(
        producer._producer,
        commit_transaction=fail(KafkaError.UNKNOWN, txn_requires_abort=True),
        abort_transaction=fail(KafkaError._FENCED, fatal=True),
    )
    producer._producer = faulty  # type: ignore[assignment]
    with pytest.raises(FencedError):
        producer.commit()


def test_a_refused_record_is_named_by_the_call_that_comes_after_it(
    settings: Settings, topic: str, producer: TransactionalProducer
) -> None:
    """The client first says that it is in an erroneous state, and why only when it is asked."""
    with Admin(settings) as admin:
        admin.configure(topic, {"max.message.bytes": "1000"})
    producer.begin()
    producer.produce(topic, secrets.token_bytes(10_000), None, 0)

    def write_on() -> None:
        for _ in range(2_000):
            producer.produce(topic, b"small", None, 0)
            time.sleep(0.01)

    with pytest.raises(RecordRejectedError):
        write_on()
