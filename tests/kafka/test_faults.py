from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from platform_events.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerTimeoutError,
    BrokerUnreachableError,
    RecordRejectedError,
)
from platform_events.kafka.faults import FAULTS, is_rejection
from platform_events.kafka.health import Health, translate


def kafka_error_names() -> set[str]:
    return {
        KafkaError(code).name()
        for name, code in vars(KafkaError).items()
        if name.isupper() and isinstance(code, int)
    }


def test_every_error_of_the_library_is_in_the_table() -> None:
    assert kafka_error_names() - FAULTS.keys() == set()


def test_the_table_names_no_error_that_the_library_lacks() -> None:
    assert FAULTS.keys() - kafka_error_names() == set()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (KafkaError._TRANSPORT, BrokerUnreachableError),
        (KafkaError._TIMED_OUT, BrokerTimeoutError),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, AuthorizationError),
        (KafkaError._AUTHENTICATION, AuthenticationError),
        (KafkaError.MSG_SIZE_TOO_LARGE, RecordRejectedError),
    ],
)
def test_errors_are_typed_and_name_their_kafka_code(code: int, expected: type) -> None:
    error = translate(KafkaError(code), "publishing to /event/A__e", Health("kafka:9092"))
    assert type(error) is expected
    assert error.kafka_code == KafkaError(code).name()
    assert str(error).startswith("publishing to /event/A__e: ")


def test_a_timeout_of_a_client_that_was_refused_is_the_refusal() -> None:
    health = Health("kafka:9092")
    health.note(KafkaError(KafkaError._AUTHENTICATION, "bad password"))
    health.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    error = translate(KafkaError(KafkaError._TIMED_OUT), "asking", health)
    assert type(error) is AuthenticationError
    assert "bad password" in str(error)
    health.recover()
    assert type(translate(KafkaError(KafkaError._TIMED_OUT), "asking", health)) is (
        BrokerTimeoutError
    )


def test_only_a_definite_no_is_a_rejection() -> None:
    rejections = {name for name in kafka_error_names() if is_rejection_name(name)}
    assert "TOPIC_AUTHORIZATION_FAILED" in rejections
    assert "MSG_SIZE_TOO_LARGE" in rejections
    assert not any(name.startswith("_") for name in rejections)
    assert rejections.isdisjoint(
        {"NOT_ENOUGH_REPLICAS_AFTER_APPEND", "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION"}
    )


def is_rejection_name(name: str) -> bool:
    return is_rejection(KafkaError(getattr(KafkaError, name)))
