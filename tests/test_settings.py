"""Settings of any kind, and what is said about those that are wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from platform_events.bus.bus import EventBus
from platform_events.errors import BrokerError, ConfigurationError
from platform_events.kafka.admin import Admin
from platform_events.kafka.producer import RecordProducer
from platform_events.kafka.reader import TopicReader
from platform_events.kafka.transactions import TransactionalProducer
from platform_events.settings import Settings
from platform_events.variables import PREFIX

FIELDS = sorted(Settings.model_fields)
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, -1, 1e400, 2**31, 2**63, 1e-9]))
NONSENSE = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.text(),
    st.binary(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.one_of(st.integers(), st.text()), st.one_of(st.none(), st.text(), NUMBERS)),
)
WORDS = st.one_of(
    NUMBERS.map(str),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.sampled_from(["", " ", "{}", "[]", "{", "nan", "inf", "-inf", "1e999", "[" * 60_000]),
    st.just("\udcff"),  # bytes that are not UTF-8
    NONSENSE.filter(lambda value: not isinstance(value, bytes)).map(
        lambda value: json.dumps(value, skipkeys=True)
    ),
)


@pytest.fixture(autouse=True, scope="module")
def bare_environment() -> Iterator[None]:
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with mock.patch.dict(os.environ, others, clear=True):
        yield


def try_out(settings: Settings) -> None:
    """Make every client; each may refuse the user's properties and nothing else."""
    RecordProducer(settings).close(0)
    Admin(settings).close()
    TopicReader(settings, "topic", {}).close()


def check(message: str, *names: str) -> None:
    assert message.isprintable()
    assert len(message) < 500
    assert any(name in message for name in names), message


@given(st.dictionaries(st.sampled_from(FIELDS), NONSENSE, max_size=3))
@example({"delivery_timeout": float("inf")})
@example({"request_timeout": float("nan")})
@example({"close_timeout": float("inf")})
@example({"linger": float("nan")})
@example({"replication_factor": 0})
@example({"delivery_timeout": 0.001})
@example({"delivery_timeout": 1e-9, "linger": 0})
@example({"publish_buffer": 1})
@example({"publish_buffer": 2**40})
@example({"kafka": {1: 2}})
@example({"kafka": {"client.id": None}})
@example({"kafka": {"client.id": "a\nb\udcff", "security.protocol": "a\nb"}})
@example({"bootstrap_servers": "kafka:9092,"})
@example({"bootstrap_servers": ","})
@example({"source": ""})
@example({"tenant": "x" * 100_000})
def test_arguments_are_usable_or_refused_by_name(values: dict[str, Any]) -> None:
    try:
        settings = Settings(**{"bootstrap_servers": "127.0.0.1:1"} | values)
    except ConfigurationError as error:
        check(str(error), *values)
        return
    try:
        try_out(settings)
    except ConfigurationError as error:
        check(str(error), "Kafka propert")
        assert settings.kafka


@given(st.dictionaries(st.sampled_from([*FIELDS, "kafka__client_id", "kafka__a__b"]), WORDS))
@example({"kafka": ""})
@example({"kafka": "1", "kafka__client_id": "x"})
@example({"kafka": "[" * 60_000})
@example({"replication_factor": "0"})
@example({"delivery_timeout": "inf"})
@example({"min_insync_replicas": ""})
@example({"tenant": ""})
def test_variables_are_usable_or_refused_by_name(values: dict[str, str]) -> None:
    variables = {PREFIX + name.upper(): value for name, value in values.items()}
    try:
        with mock.patch.dict(os.environ, variables):
            settings = Settings()
    except ConfigurationError as error:
        check(str(error), *variables, f"{PREFIX}KAFKA")
        return
    try:
        try_out(settings)
    except ConfigurationError as error:
        check(str(error), "Kafka propert")
        assert settings.kafka


def test_the_shortest_times_are_no_endless_ones() -> None:
    """Kafka takes 0 ms as for ever."""
    settings = Settings(
        bootstrap_servers="127.0.0.1:1", delivery_timeout=0.001, request_timeout=0.001, linger=0
    )
    with EventBus(settings) as bus, pytest.raises(BrokerError):
        bus.publish("Order_Placed__e", {"order_id": "A"})
    with pytest.raises(BrokerError):
        TransactionalProducer(settings, "id", "writing", timeout_ms=60_000, max_bytes=2_000_000)


@pytest.mark.parametrize("name", ["tennant", "kafka_", "_env_file", "_cli_parse_args", ""])
def test_an_argument_that_is_no_setting_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no setting") as caught:
        EventBus(**{name: "x"})
    assert ("did you mean tenant?" in str(caught.value)) is (name == "tennant")


def warnings(code: str, **variables: str) -> list[str]:
    """What a process with these variables logs."""
    prelude = (
        "import logging, sys; from platform_events.settings import Settings\n"
        "logging.basicConfig(format='%(name)s %(message)s', stream=sys.stdout)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name[:1].isalpha()}
    outcome = subprocess.run(
        [sys.executable, "-c", prelude + code],
        env=environment | {PREFIX + name: value for name, value in variables.items()},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert outcome.stderr == ""
    return outcome.stdout.splitlines()


def test_misspelt_variables_are_named_once_in_a_process() -> None:
    (line,) = warnings(
        "Settings(); Settings(tenant='x')",
        TENNANT="shop", KAFKA_SECURITY_PROTOCOL="SSL", PORT="9092", Whatever_Else="1",
    )  # fmt: skip
    assert line.startswith("platform_events no setting is read from the environment's ")
    assert f"'{PREFIX}TENNANT' (did you mean {PREFIX}TENANT?)" in line
    assert f"{PREFIX}KAFKA_SECURITY_PROTOCOL' (did you mean {PREFIX}KAFKA__SECURITY_PROT" in line
    assert f"'{PREFIX}PORT'" in line
    assert f"'{PREFIX}Whatever_Else'" in line
    (line,) = warnings("Settings()", **{f"X{number}": "1" for number in range(10)})
    assert line.endswith(" and 5 more")


def test_variables_that_are_known_are_not_named() -> None:
    service = {
        f"{name}{ending}": value
        for name in ("", "GATEWAY_", "KAFKA_")
        for ending, value in {
            "PORT": "tcp://10.0.0.7:9092",
            "PORT_9092_TCP": "tcp://10.0.0.7:9092",
            "PORT_9092_TCP_ADDR": "10.0.0.7",
            "PORT_9092_TCP_PORT": "9092",
            "PORT_9092_TCP_PROTO": "tcp",
            "SERVICE_HOST": "10.0.0.7",
            "SERVICE_PORT": "9092",
            "SERVICE_PORT_KAFKA": "9092",
        }.items()
    }
    ours = {
        "DEBUG": "1", "MAVEN_URL": "http://x", "TEST_BROKER": "local", "KAFKA__CLIENT_ID": "x",
        "UP_KAFKA_PORT": "9092", "UP_HTTP_PLAIN_PORT": "7080", "UP_GRPC_PORT": "7443",
        "SERVE_HOST": "::1", "SERVE_PLAINTEXT_PORT": "7011", "SERVE_INSECURE": "true",
    }  # fmt: skip
    assert warnings("Settings()", **service, **ours, TENANT="shop") == []
