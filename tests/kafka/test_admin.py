"""What is asked again while a partition's leader moves."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException

from platform_events.errors import BrokerError, BrokerTimeoutError
from platform_events.kafka import asking
from platform_events.kafka.admin import Admin
from platform_events.settings import Settings


class Moving:
    """An admin client whose first answers about offsets are those of a cluster that moves."""

    def __init__(self, client: Any, *answers: int | KafkaError) -> None:
        self._client = client
        self.answers = list(answers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def list_offsets(self, request: dict[Any, Any], **more: Any) -> dict[Any, Future[Any]]:
        if not self.answers:
            return self._client.list_offsets(request, **more)  # type: ignore[no-any-return]
        answer = self.answers.pop(0)
        futures: dict[Any, Future[Any]] = {}
        for partition in request:
            futures[partition] = future = Future()
            if isinstance(answer, int):
                future.set_result(SimpleNamespace(offset=answer))
            else:
                future.set_exception(KafkaException(answer))
        return futures


def moving(admin: Admin, *answers: int | KafkaError) -> Moving:
    client = Moving(admin._client, *answers)
    admin._client = client  # type: ignore[assignment]
    return client


def test_offsets_are_asked_for_until_there_is_a_leader(settings: Settings) -> None:
    topic = settings.namespace.topic("A__e")
    with Admin(settings) as admin:
        admin.create(topic, 1, 1, {})
        admin.await_topic(topic)
        client = moving(
            admin,
            OFFSET_INVALID,
            KafkaError(KafkaError.FENCED_LEADER_EPOCH),
            KafkaError(KafkaError._NOENT),
        )
        assert admin.log_ends(topic, 1) == [0]
        assert client.answers == []


def test_it_ends_with_an_error_when_there_is_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "POLL_INTERVAL", 0.01)
    soon = settings.model_copy(update={"request_timeout": 0.5})
    with Admin(soon) as admin:
        moving(admin, *[OFFSET_INVALID] * 1_000)
        with pytest.raises(BrokerTimeoutError, match="no leader is known"):
            admin.log_ends("whatever", 1)


def test_a_client_that_timed_out_is_replaced(settings: Settings) -> None:
    topic = settings.namespace.topic("A__e")
    with Admin(settings) as admin:
        admin.create(topic, 1, 1, {})
        admin.await_topic(topic)
        client = moving(admin, KafkaError(KafkaError._TIMED_OUT))
        with pytest.raises(BrokerTimeoutError):
            admin.log_ends(topic, 1)
        assert admin._client is not client
        assert admin.log_ends(topic, 1) == [0]


def test_who_asked_a_client_that_another_thread_replaced_may_ask_again(settings: Settings) -> None:
    topic = settings.namespace.topic("A__e")
    with Admin(settings) as admin:
        admin.create(topic, 1, 1, {})
        admin.await_topic(topic)
        moving(admin, KafkaError(KafkaError._DESTROY))
        with pytest.raises(BrokerTimeoutError) as caught:
            admin.log_ends(topic, 1)
        assert caught.value.retriable
        assert admin.log_ends(topic, 1) == [0]


def test_a_topic_that_was_deleted_is_not_waited_for_long(settings: Settings) -> None:
    topic = settings.namespace.topic("A__e")
    with Admin(settings) as admin:
        assert admin.describe_one(topic, expected=True) is None
        with pytest.raises(BrokerError, match="UNKNOWN_TOPIC_OR_PART"):
            admin.configs([topic])


class Silent:
    """An admin client that gets an answer about one topic and none about the others."""

    def __init__(self, client: Any, answered: str) -> None:
        self._client = client
        self._answered = answered

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def list_offsets(self, request: dict[Any, Any], **more: Any) -> dict[Any, Future[Any]]:
        futures: dict[Any, Future[Any]] = {partition: Future() for partition in request}
        for partition, future in futures.items():
            if partition.topic == self._answered:
                future.set_result(SimpleNamespace(offset=5))
        return futures


def test_a_topic_without_an_answer_fails_alone_and_is_waited_for_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    names = ["a", "b", "c"]
    monkeypatch.setattr(asking, "_GRACE", -settings.request_timeout)
    with Admin(settings) as admin:
        admin._client = Silent(admin._client, "b")  # type: ignore[assignment]
        monkeypatch.setattr(admin, "_renew", lambda: looks.append("renewed"))
        ends = admin.stable_ends(names)
    assert ends["b"] == 5
    assert isinstance(ends["a"], BrokerTimeoutError)
    assert ends["c"] is ends["a"]
    assert looks == ["renewed"]
