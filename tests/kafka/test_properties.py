"""Which Kafka properties a user may set."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import PublishStatus
from platform_events.errors import BrokerError, ConfigurationError
from platform_events.kafka import connection
from platform_events.kafka.admin import Admin
from platform_events.kafka.groups import Leadership
from platform_events.kafka.offsets import GroupOffsets
from platform_events.kafka.producer import RecordProducer
from platform_events.kafka.properties import (
    ALIASES,
    OWN_SETTING,
    PASSED,
    PASSED_FAMILIES,
    REFUSED,
    check_properties,
)
from platform_events.kafka.reader import TopicReader
from platform_events.kafka.transactions import TransactionalProducer
from platform_events.settings import Settings
from tests.support import ORDER, wait_until

PYTHON_ONLY = {"default.topic.config", "logger", "oauth_cb", "on_commit", "on_delivery"}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What librdkafka says about each of its properties, by name."""
    package = Path(confluent_kafka.__file__).parent
    (path,) = (
        *package.parent.glob("confluent_kafka.libs/librdkafka*"),
        *package.glob(".dylibs/librdkafka*"),
    )
    c, kafka = ctypes.CDLL(None), ctypes.CDLL(str(path))
    c.fopen.restype = ctypes.c_void_p
    listing = tmp_path_factory.mktemp("librdkafka") / "properties"
    file = ctypes.c_void_p(c.fopen(str(listing).encode(), b"w"))
    kafka.rd_kafka_conf_properties_show(file)
    c.fclose(file)
    rows = re.findall(r"^(\S+) +\| +[*CP] .*\| (.*)$", listing.read_text(), re.MULTILINE)
    return dict(rows)


def test_every_property_of_the_library_is_judged_once(library: dict[str, str]) -> None:
    assert len(library) > 150
    named = [*PASSED, *REFUSED, *OWN_SETTING]
    assert len(named) == len(set(named))
    judged = {name for name in library if name in named or name.startswith(PASSED_FAMILIES)}
    assert judged == set(library)
    assert set(named) - PYTHON_ONLY == {name for name in library if name in named}


def test_all_names_of_one_property_are_judged_alike(library: dict[str, str]) -> None:
    aliases = {
        name: match[1]
        for name, text in library.items()
        if (match := re.match(r"(?:\*\*DEPRECATED\*\* )?Alias for `([^`]+)`", text))
    }
    assert len(aliases) >= 10

    def verdict(name: str) -> str:
        return REFUSED.get(name) or OWN_SETTING.get(name) or "passes"

    assert {name: verdict(name) for name in aliases} == {
        name: verdict(main) for name, main in aliases.items()
    }
    passing = {frozenset(pair) for pair in aliases.items() if verdict(pair[0]) == "passes"}
    assert {frozenset(pair) for pair in ALIASES.items()} == passing


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_would_break_a_promise_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_properties({name: "x"})
    assert f"{name} cannot be set: {REFUSED[name]}" in str(caught.value)
    assert f"PLATFORM_EVENTS_KAFKA__{name.upper().replace('.', '_')}" in str(caught.value)


@pytest.mark.parametrize("name", sorted(OWN_SETTING))
def test_properties_with_a_setting_of_ours_name_it(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"PLATFORM_EVENTS_{OWN_SETTING[name].upper()}"):
        check_properties({name: 1})


def test_a_name_that_nobody_judged_is_refused_with_a_guess() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean socket\.timeout\.ms"):
        check_properties({"socket.timout.ms": 1})
    with pytest.raises(ConfigurationError, match="is not known") as caught:
        check_properties({"x\n" * 1000: 1})
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kafka",
    [
        {"delivery.report.only.error": True},
        {"default.topic.config": {"partitioner": "random"}},
        {"request.required.acks": 0},
        {"on_delivery": print},
        {"request.timeout.ms": float("inf")},
        {"request.timeout.ms": []},
        {"stats_cb": "no function"},
    ],
)
def test_nothing_is_sent_with_such_a_property(settings: Settings, define: Any, kafka: Any) -> None:
    define(ORDER)
    given = settings.model_copy(update={"kafka": kafka})
    with EventBus(given) as bus, pytest.raises(ConfigurationError, match="Kafka propert"):
        bus.publish("Order_Placed__e", {"order_id": "A"})


Config = dict[str, Any]


def configs_of_every_client(
    kafka: Config, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Config, Config]]:
    """What each kind of client has to be, and what it was made with."""
    seen: list[tuple[Config, Config]] = []

    def client_config(*arguments: Any) -> Config:
        config = real(*arguments)
        seen.append((arguments[2], config))
        return config

    real = connection.client_config
    monkeypatch.setattr(connection, "client_config", client_config)
    settings = Settings(bootstrap_servers="127.0.0.1:1", request_timeout=0.01, kafka=kafka)
    Admin(settings).close()
    RecordProducer(settings).close(0)
    TopicReader(settings, "topic", {}).close()
    Leadership(settings, "group", "client", print, print).close()
    with GroupOffsets(settings, "group"):
        pass
    with pytest.raises(BrokerError):
        TransactionalProducer(settings, "id", "writing", timeout_ms=60_000, max_bytes=2_000_000)
    assert len(seen) == 6
    return seen


def test_what_passes_replaces_what_would_be_there_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = {
        "client.id": "mine",
        "fetch.message.max.bytes": 1024 * 1024,
        "retry.backoff.ms": 7,
        "topic.metadata.refresh.interval.ms": 9_000,
    }
    for _, config in configs_of_every_client(kafka, monkeypatch):
        assert config["client.id"] == "mine"
        assert config["max.partition.fetch.bytes"] == 1024 * 1024
        assert config["retry.backoff.ms"] == 7
        assert config["topic.metadata.refresh.interval.ms"] == 9_000


def test_what_clients_have_to_be_passes_from_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a property of the user's would be lost without a word."""
    names = {name for fixed, _ in configs_of_every_client({}, monkeypatch) for name in fixed}
    assert "acks" in names
    assert names <= set(REFUSED) | set(OWN_SETTING)


def test_a_callback_that_fails_ends_nothing(
    settings: Settings, define: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("no statistics today")

    define(ORDER)
    kafka = {"stats_cb": fail, "statistics.interval.ms": 100}
    with EventBus(settings.model_copy(update={"kafka": kafka})) as bus:
        bus.publishing()
        wait_until(lambda: "no statistics today" in caplog.text)
        future = bus.submit("Order_Placed__e", {"order_id": "A"})
        assert future.result().status is PublishStatus.PERSISTED
    assert "the callback stats_cb failed" in caplog.text


@pytest.mark.parametrize("name", ["request.timeout.ms", "socket.timeout.ms"])
def test_an_answer_takes_no_longer_than_the_client_waits(name: str) -> None:
    settings = Settings(bootstrap_servers="127.0.0.1:1", kafka={name: "7000"})
    producer = RecordProducer(settings)
    assert producer.answer_ms == 7000
    producer.close(0)
