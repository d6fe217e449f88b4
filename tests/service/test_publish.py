"""Publish: one result for each event, whatever is wrong with its neighbours."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from platform_events.bus.bus import EventBus
from platform_events.bus.encoded import EncodedSender
from platform_events.bus.publisher import Publisher
from platform_events.catalog.live import Catalog
from platform_events.errors import BrokerTimeoutError, UnknownStreamError
from platform_events.service.messages import (
    SERVICE,
    EventHeader,
    ProducerEvent,
    PublishRequest,
    PublishResponse,
    TopicRequest,
)
from platform_events.settings import Settings
from platform_events.testing.proxy import Cut
from tests.channels.samples import channel, event
from tests.payloads.wrong_bodies import HOSTILE
from tests.service.publishing import NOWHERE, Writer, is_failure, publish
from tests.service.pubsub import METADATA, PATIENCE, Client, failure, serving
from tests.support import wait_until

INVALID = grpc.StatusCode.INVALID_ARGUMENT
KEYED = "/event/Keyed__e"


@pytest.fixture
def client(settings: Settings, define: Callable[..., None]) -> Iterator[Client]:
    events = [event("A__e"), event("B__e"), event("Keyed__e", 3)]
    define(*events, channel("All__chn", "A__e", "B__e"))
    with serving(settings) as target:
        client = Client(target)
        yield client
        client.close()


@pytest.fixture
def writer(client: Client) -> Writer:
    return Writer(client)


def refusal(client: Client, request: Any) -> tuple[grpc.StatusCode, str, str]:
    """Return status, code and text of a call that fails as a whole."""
    with pytest.raises(grpc.RpcError) as caught:
        client.ask("Publish", request)
    status, code, trailers = failure(caught.value)
    details = str(caught.value.details())
    assert details.endswith(trailers["rpc-id"])
    return status, code, details


def numbers(bus: EventBus, name: str = "A__e") -> list[int]:
    return [event.payload["n"] for event in bus.subscribe(name, follow=False)]


def test_each_event_is_stored_as_it_came_and_has_its_result(
    client: Client, writer: Writer, bus: EventBus
) -> None:
    headers = [EventHeader(key="trace", value=b"\xff\x00"), EventHeader(key="empty")]
    own = writer.event(0, id="mine", headers=headers)
    response = publish(client, writer.request(own, *map(writer.event, range(1, 50))))
    assert response.schema_id == writer.schema_id
    assert uuid.UUID(response.rpc_id)
    assert len(response.results) == 50
    assert not any(result.HasField("error") for result in response.results)
    events = list(bus.subscribe("A__e", follow=False))
    assert [event.payload["n"] for event in events] == list(range(50))
    assert [event.replay_id for event in events] == [one.replay_id for one in response.results]
    assert {len(result.replay_id) for result in response.results} == {10}
    assert [event.event_id for event in events] == [
        result.correlation_key for result in response.results
    ]
    assert events[0].event_id == "mine"
    assert uuid.UUID(events[1].event_id).version == 4
    assert events[0].headers == {"trace": b"\xff\x00", "empty": b""}
    assert events[0].payload["CreatedById"] == "somebody"


def test_bad_events_are_refused_alone(client: Client, writer: Writer, bus: EventBus) -> None:
    other = Writer(client, "/event/B__e")
    cut = writer.event(-1)
    cut.payload = cut.payload[:-1]
    longer = writer.event(-1, id="longer")
    longer.payload += b"\0"
    foreign = other.event(-1)
    disguised = ProducerEvent(schema_id="_CADE3qaegX3ECEW0rlbYA", payload=writer.event(-1).payload)
    bad = {
        "end within": cut,
        "left over": longer,
        "never had": foreign,
        "GetTopic": disguised,
        "can't be blank": ProducerEvent(payload=writer.event(-1).payload),
        "1,048,576": writer.event(-1, text="x" * 1_100_000),
        "1 to 36": writer.event(-1, id="x" * 37),
        "printable": writer.event(-1, id="a\nb"),
        "'ce_id' is set by the bus": writer.event(-1, headers=[EventHeader(key="ce_id")]),
        "header name": writer.event(-1, headers=[EventHeader()]),
        "twice": writer.event(-1, headers=[EventHeader(key="a"), EventHeader(key="a")]),
        "ce_xx": writer.event(-1, headers=[EventHeader(key="ce_" + "x" * 10_000)]),
    }
    events = [writer.event(0)]
    for number, one in enumerate(bad.values(), 1):
        events += [one, writer.event(number)]
    results = publish(client, writer.request(*events)).results
    assert len(results) == len(events)
    for reason, one, result in zip(bad, bad.values(), results[1::2], strict=True):
        assert is_failure(result), reason
        assert reason in result.error.msg
        assert result.correlation_key == one.id
    assert not any(map(is_failure, results[::2]))
    assert numbers(bus) == list(range(len(bad) + 1))


def test_wrong_bytes_are_refused_whatever_they_are(
    client: Client, writer: Writer, bus: EventBus
) -> None:
    bodies = [body for _, body, _ in HOSTILE if len(body) < 100_000]
    wrong = [ProducerEvent(schema_id=writer.schema_id, payload=body) for body in bodies]
    results = publish(client, writer.request(*wrong, writer.event(1))).results
    assert [is_failure(result) for result in results] == [True] * len(wrong) + [False]
    assert numbers(bus) == [1]


def test_events_of_several_partitions_have_positions_too(client: Client, bus: EventBus) -> None:
    writer = Writer(client, KEYED)
    results = publish(client, writer.request(*map(writer.event, range(20)))).results
    assert {len(result.replay_id) for result in results} == {10}
    assert NOWHERE not in {result.replay_id for result in results}
    read = list(bus.subscribe("Keyed__e", results[0].replay_id, follow=False))
    assert sorted(event.payload["n"] for event in read) == list(range(20))
    bus.publish_many("Keyed__e", [{"n": n} for n in range(20)])
    homes: dict[int, set[int]] = {}
    for one in bus.subscribe("Keyed__e", follow=False):
        homes.setdefault(one.payload["n"], set()).add(one._run.partition)
    assert {len(partitions) for partitions in homes.values()} == {1}


def test_an_old_schema_stays_publishable_and_a_new_one_is_found_at_once(
    client: Client, writer: Writer, bus: EventBus, define: Callable[..., None]
) -> None:
    define(event("A__e") + "  - {name: more, type: string, optional: true}\n", prune=False)
    bus.catalog.refresh()
    newer = bus.catalog.event("A__e").schema.id
    new = writer.event(2)
    new.schema_id, new.payload = newer, new.payload + b"\0"
    response = publish(client, writer.request(writer.event(1), new))
    assert not any(map(is_failure, response.results))
    assert response.schema_id == newer
    assert numbers(bus) == [1, 2]


def test_a_request_without_events_or_topic_is_refused(client: Client, writer: Writer) -> None:
    assert refusal(client, writer.request())[:2] == (INVALID, "publish.event.count.invalid")
    blank = PublishRequest(events=[writer.event(1)])
    assert refusal(client, blank)[:2] == (INVALID, "publish.topic.validation.empty")
    assert refusal(client, b"\xff\xff")[:2] == (INVALID, "publish.event.count.invalid")


@pytest.mark.parametrize("name", ["/event/Nothing__e", "A__e", "/event/A__e/", "/event/No__chn"])
def test_an_unknown_topic_is_not_found(client: Client, writer: Writer, name: str) -> None:
    writer.topic = name
    found = refusal(client, writer.request(writer.event(1)))
    assert found[:2] == (grpc.StatusCode.NOT_FOUND, "topic.not.found")


def test_a_channel_names_the_events_to_publish(client: Client, writer: Writer) -> None:
    writer.topic = "/event/All__chn"
    status, code, text = refusal(client, writer.request(writer.event(1)))
    assert (status, code) == (INVALID, "publish.topic.cannot.publish")
    assert "A__e or B__e" in text


def test_a_request_above_the_limit_fails_and_the_next_one_does_not(
    client: Client, writer: Writer, bus: EventBus
) -> None:
    most = [writer.event(n, text="x" * 1_000_000) for n in range(4)]
    results = publish(client, writer.request(*most)).results
    assert not any(map(is_failure, results))
    with pytest.raises(grpc.RpcError) as caught:
        client.ask("Publish", writer.request(*most, most[0]))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    publish(client, writer.request(writer.event(4)))
    assert numbers(bus) == list(range(5))


def test_random_bytes_get_an_answer_or_an_error_with_a_code(
    client: Client, writer: Writer, bus: EventBus
) -> None:
    whole = writer.request(writer.event(1, id="mine")).SerializeToString()
    places = st.integers(0, len(whole) - 1)
    damages = st.dictionaries(places, st.integers(0, 255), min_size=1, max_size=4)

    def damaged(changes: dict[int, int]) -> bytes:
        return bytes(changes.get(at, byte) for at, byte in enumerate(whole))

    @hypothesis_settings(max_examples=150)
    @given(st.one_of(st.binary(max_size=80), damages.map(damaged)))
    def ask(request: bytes) -> None:
        try:
            client.ask("Publish", request)
        except grpc.RpcError as error:
            _, code, _ = failure(error)
            assert code
            assert code != "service.internal.error"

    # Each topic that nobody knows would wait for a look at the catalog.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("platform_events.service.tenants._REFRESH_SECONDS", 0.0)
        ask()
    assert not is_failure(publish(client, writer.request(writer.event(2))).results[0])
    assert numbers(bus)[-1] == 2


def test_what_was_sent_stays_sent_when_the_client_goes(
    client: Client, writer: Writer, bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding, found = threading.Event(), threading.Event()
    find = Publisher.find

    def slow(publisher: Publisher, name: str) -> Any:
        finding.set()
        assert found.wait(60)
        return find(publisher, name)

    monkeypatch.setattr(Publisher, "find", slow)
    call = client._channel.unary_unary(f"/{SERVICE}/Publish").future(
        writer.request(writer.event(7)).SerializeToString(), metadata=METADATA
    )
    assert finding.wait(60)
    call.cancel()
    found.set()
    wait_until(lambda: numbers(bus) == [7])
    monkeypatch.undo()
    publish(client, writer.request(writer.event(8)))
    assert numbers(bus) == [7, 8]


@pytest.mark.parametrize("error", [BrokerTimeoutError("secret"), UnknownStreamError("", "secret")])
def test_when_nothing_can_be_sent_each_event_says_so(
    client: Client, writer: Writer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> Any:
        raise error

    monkeypatch.setattr(Publisher, "find", fail)
    results = publish(client, writer.request(writer.event(1), writer.event(2, id="mine"))).results
    assert all(map(is_failure, results))
    assert [result.correlation_key for result in results] == ["", "mine"]
    for result in results:
        assert "was not stored" in result.error.msg
        assert "secret" not in result.error.msg


def test_a_schema_is_not_called_unknown_while_kafka_is_away(
    client: Client, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise BrokerTimeoutError("away")

    monkeypatch.setattr(Catalog, "refresh", fail)
    unknown = writer.event(1)
    unknown.schema_id = "x" * 22
    refused, stored = publish(client, writer.request(unknown, writer.event(2))).results
    assert is_failure(refused)
    assert refused.error.msg.startswith("BROKER_TIMEOUT")
    assert not is_failure(stored)


def test_a_defect_fails_the_call_and_no_more(
    client: Client, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise LookupError("secret")

    monkeypatch.setattr(EncodedSender, "submit", fail)
    status, code, text = refusal(client, writer.request(writer.event(1)))
    assert (status, code) == (grpc.StatusCode.INTERNAL, "service.internal.error")
    assert "secret" not in text
    monkeypatch.undo()
    assert not is_failure(publish(client, writer.request(writer.event(1))).results[0])


Break = Callable[[Cut], AbstractContextManager[None]]


class Away:
    """A client of a service that can be cut off from Kafka, and that has published before."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.writer = Writer(client, "/event/Order_Placed__e")

    def order(self, name: str, event_id: str = "") -> ProducerEvent:
        return self.writer.made({"order_id": name}, id=event_id)

    def publish(self) -> list[Any]:
        """Return the results of a good event, of a wrong one, and of a good one with an ID."""
        wrong = ProducerEvent(schema_id=self.writer.schema_id, payload=b"wrong")
        request = self.writer.request(self.order("a"), wrong, self.order("b", "mine"))
        return list(publish(self.client, request).results)


@contextmanager
def may_be_away(bus: EventBus, delivery_timeout: float) -> Iterator[Away]:
    changes = {"delivery_timeout": delivery_timeout, "request_timeout": 4, "publish_buffer": 2**20}
    with serving(bus.settings.model_copy(update=changes)) as target:
        client = Client(target)
        away = Away(client)
        assert [is_failure(result) for result in away.publish()] == [False, True, False]
        yield away
        client.close()


def test_without_kafka_results_say_what_is_known_and_the_call_is_ok(
    event_bus: EventBus, break_broker: Break
) -> None:
    with may_be_away(event_bus, 4) as away:
        with break_broker("hang"):
            results = away.publish()
        assert all(map(is_failure, results))
        assert [one.correlation_key for one in results] == ["", "", "mine"]
        first, wrong, last = (one.error.msg for one in results)
        assert wrong.startswith("INVALID_PAYLOAD")
        assert "may be stored or not" in first
        assert "the ID mine" in last
        wait_until(lambda: not is_failure(away.publish()[0]))


def test_other_calls_are_answered_while_publishing_waits_for_room(
    event_bus: EventBus, break_broker: Break
) -> None:
    with may_be_away(event_bus, 120) as away:
        many = [away.order("x" * 1000) for _ in range(800)]
        request = away.writer.request(*many).SerializeToString()
        call = away.client._channel.unary_unary(f"/{SERVICE}/Publish")
        with break_broker("hang"):
            calls = [call.future(request, metadata=METADATA) for _ in range(40)]
            # It needs a thread to look for the topic.
            with pytest.raises(grpc.RpcError) as caught:
                away.client.ask("GetTopic", TopicRequest(topic_name="/event/Nothing__e"))
            assert failure(caught.value)[:2] == (
                grpc.StatusCode.UNAVAILABLE,
                "topic.api.unavailable",
            )
            assert not any(one.done() for one in calls)
        for one in calls:
            results = PublishResponse.FromString(one.result(PATIENCE)).results
            assert len(results) == len(many)
            assert not any(map(is_failure, results))
