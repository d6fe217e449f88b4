from __future__ import annotations

import dataclasses
import enum
import textwrap
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from platform_events.bus.bus import EventBus
from platform_events.bus.values import EventMessage, PublishResult, PublishStatus
from platform_events.errors import (
    ClosedError,
    EventTooLargeError,
    PayloadError,
    PublishError,
    UnknownStreamError,
    UsageError,
)
from platform_events.settings import Settings
from tests.support import KEYED, ORDER, apply_texts, consume_raw, wait_until

EVENT = "Order_Placed__e"
PERSISTED = PublishStatus.PERSISTED
NOT_PERSISTED = PublishStatus.NOT_PERSISTED


def payloads_of(bus: EventBus, event: str = EVENT) -> list[dict[str, Any]]:
    return [event.payload for event in bus.subscribe(event, follow=False)]


def order(number: int) -> dict[str, Any]:
    return {"order_id": f"A-{number}"}


def test_a_published_event_is_read_back(bus: EventBus) -> None:
    result = bus.publish(EVENT, {"order_id": "A-1", "amount": 12.5}, headers={"team": "shop"})
    assert result.status is PERSISTED
    assert result.error is None
    assert uuid.UUID(result.event_id).version == 4
    (event,) = bus.subscribe(EVENT, follow=False)
    assert event.payload.items() >= {"order_id": "A-1", "amount": 12.5, "note": None}.items()
    assert event.payload["CreatedById"] == bus.settings.created_by
    assert (event.event_id, event.replay_id) == (result.event_id, result.replay_id)
    assert (event.stream, event.type) == (f"/event/{EVENT}", EVENT)
    assert event.headers == {"team": b"shop"}
    assert abs(event.published_at.timestamp() * 1000 - event.payload["CreatedDate"]) < 60_000


def test_system_fields_are_kept_when_given(bus: EventBus) -> None:
    bus.publish(EVENT, {"order_id": "A", "CreatedDate": 5, "CreatedById": "me"})
    assert payloads_of(bus) == [
        {"CreatedDate": 5, "CreatedById": "me", "order_id": "A", "amount": 0.0, "note": None}
    ]


def test_the_record_is_a_bare_body_with_cloudevents_headers(
    bus: EventBus, settings: Settings
) -> None:
    result = bus.publish(EVENT, order(1), headers={"mine": b"\xff"})
    (message,) = consume_raw(settings, EVENT, 1)
    headers = dict(message.headers() or ())
    assert headers.pop("__value_schema_id")[:1] == b"\x01"  # type: ignore[index]
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": result.event_id.encode(),
        "ce_type": b"Order_Placed__e",
        "ce_source": b"platform-events",
        "content-type": b"application/avro",
        "mine": b"\xff",
    }
    assert message.key() is None
    assert message.timestamp()[0] == 2  # LogAppendTime


def test_many_results_come_in_order_one_for_each(bus: EventBus) -> None:
    results = bus.publish_many(EVENT, (order(number) for number in range(3000)))
    assert [result.status for result in results] == [PERSISTED] * 3000
    assert len({result.event_id for result in results}) == 3000
    replay_ids = [bytes(result.replay_id) for result in results if result.replay_id]
    assert replay_ids == sorted(set(replay_ids))
    assert [payload["order_id"] for payload in payloads_of(bus)] == [
        f"A-{number}" for number in range(3000)
    ]


def test_one_bad_event_never_fails_its_neighbours(bus: EventBus) -> None:
    results = bus.publish_many(
        EVENT,
        [
            order(0),
            {"order_id": 1},
            order(2),
            {"order_id": "A-3", "surplus": 1},
            {"order_id": "x" * 1_100_000},
            "no mapping",
            EventMessage(order(6), event_id="x" * 37),
            EventMessage(order(7), headers={"ce_id": "taken"}),
            EventMessage(order(8), event_id="mine", headers={"k": "v"}),
        ],
    )
    good = [0, 2, 8]
    assert [i for i, result in enumerate(results) if result.status is PERSISTED] == good
    errors = [type(result.error) for i, result in enumerate(results) if i not in good]
    assert errors == [
        PayloadError, PayloadError, EventTooLargeError, PayloadError, UsageError, UsageError,
    ]  # fmt: skip
    assert results[8].event_id == "mine"
    assert {results[i].status for i in range(9) if i not in good} == {NOT_PERSISTED}
    assert [payload["order_id"] for payload in payloads_of(bus)] == ["A-0", "A-2", "A-8"]


def test_a_message_may_be_published_by_every_call(bus: EventBus) -> None:
    message = EventMessage(order(1), event_id="mine", headers={"own": "1", "none": None})
    bus.publish(EVENT, message, headers={"common": "c"})
    bus.submit(EVENT, message, headers={"common": "c"}).result(20)
    bus.publish_many(EVENT, [message], headers={"common": "c"})
    bus.publish(EVENT, EventMessage(order(2)), event_id="given")
    *read, given = bus.subscribe(EVENT, follow=False)
    for event in read:
        assert event.event_id == "mine"
        assert event.headers == {"common": b"c", "own": b"1", "none": None}
    assert given.event_id == "given"
    for publish in (bus.publish, bus.submit):
        with pytest.raises(UsageError, match="not both"):
            publish(EVENT, message, event_id="another")
        with pytest.raises(UsageError, match="headers must be a mapping"):
            publish(EVENT, message, headers=[("a", b"b")])  # type: ignore[arg-type]


class SourceError(Exception):
    """Raised by the user's own code."""


def test_a_source_that_fails_midway_tells_what_became_of_the_events_before(bus: EventBus) -> None:
    def payloads() -> Iterator[Any]:
        for number in range(400):
            yield order(number)
        yield {"order_id": 5}
        yield order(401)
        raise SourceError("the file ends here")

    with pytest.raises(SourceError, match="the file ends here") as caught:
        bus.publish_many(EVENT, payloads())
    results = caught.value.publish_results  # type: ignore[attr-defined]
    assert [result.status for result in results] == [PERSISTED] * 400 + [NOT_PERSISTED, PERSISTED]
    assert "402 payloads" in caught.value.__notes__[0]
    assert len(payloads_of(bus)) == 401


def test_a_long_call_follows_the_definition(
    bus: EventBus, settings: Settings, tmp_path: Path
) -> None:
    def payloads() -> Iterator[Any]:
        yield order(0)
        before = bus.catalog.event(EVENT)
        more = ORDER + "  - {name: more, type: string, optional: true}"
        apply_texts(settings, tmp_path / "more", more)
        wait_until(lambda: bus.catalog.event(EVENT) != before)
        yield order(1) | {"more": "m"}
        apply_texts(settings, tmp_path / "none", KEYED, prune=True)
        wait_until(lambda: not is_active(bus, EVENT))
        yield from (order(2), EventMessage(order(3), event_id="three"), order(4))

    results = bus.publish_many(EVENT, payloads())
    assert [result.status for result in results] == [PERSISTED] * 2 + [NOT_PERSISTED] * 3
    assert {type(result.error) for result in results[2:]} == {UnknownStreamError}
    assert results[3].event_id == "three"


def is_active(bus: EventBus, name: str) -> bool:
    entry = bus.catalog.cached(name)
    return entry is not None and entry.active is not None


def test_publish_raises_with_the_result(bus: EventBus) -> None:
    with pytest.raises(PublishError) as caught:
        bus.publish(EVENT, {"order_id": 5})
    result: PublishResult = caught.value.result
    assert result.status is NOT_PERSISTED
    assert caught.value.code == "INVALID_PAYLOAD"
    assert isinstance(result.error, PayloadError)
    assert result.error.path == "order_id"
    assert "order_id" in str(caught.value)


@pytest.mark.parametrize("call", ["publish", "publish_many", "submit"])
def test_a_mistake_of_the_call_raises_before_anything_is_sent(bus: EventBus, call: str) -> None:
    payload: Any = [order(1)] if call == "publish_many" else order(1)
    publish = getattr(bus, call)
    with pytest.raises(UnknownStreamError, match="did you mean Order_Placed__e"):
        publish("Order_Place__e", payload)
    with pytest.raises(UsageError, match="publish to one of its member events"):
        publish("Orders__chn", payload)
    with pytest.raises(UsageError, match="does not name a stream"):
        publish("orders", payload)
    with pytest.raises(UsageError, match="set by the bus"):
        publish(EVENT, payload, headers={"ce_type": "x"})
    bus.close()
    with pytest.raises(ClosedError):
        publish(EVENT, payload)


def test_submitted_events_resolve_to_results_of_whatever_status(bus: EventBus) -> None:
    futures = [bus.submit(EVENT, order(number)) for number in range(500)]
    refused = bus.submit(EVENT, {"order_id": None})
    assert [future.result(20).status for future in futures] == [PERSISTED] * 500
    assert refused.result(20).status is NOT_PERSISTED
    assert len(payloads_of(bus)) == 500


def test_a_callback_of_a_future_may_publish(bus: EventBus) -> None:
    done = threading.Event()
    outcome: list[PublishResult] = []

    def publish_another(_: object) -> None:
        outcome.append(bus.publish(EVENT, order(2)))
        done.set()

    bus.submit(EVENT, order(1)).add_done_callback(publish_another)
    assert done.wait(20)
    assert outcome[0].status is PERSISTED


def test_threads_share_a_bus(bus: EventBus) -> None:
    statuses: list[PublishStatus] = []

    def work(worker: int) -> None:
        for number in range(20):
            statuses.append(bus.publish(EVENT, {"order_id": f"{worker}-{number}"}).status)
            statuses.append(bus.submit(EVENT, {"order_id": f"{worker}+{number}"}).result(20).status)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [PERSISTED] * 320
    assert len({payload["order_id"] for payload in payloads_of(bus)}) == 320


@dataclasses.dataclass
class OrderRecord:
    order_id: str
    amount: float


class OrderModel(BaseModel):
    order_id: str
    amount: float


@pytest.mark.parametrize("model", [OrderRecord, OrderModel])
def test_payloads_may_be_dataclasses_and_pydantic_models(bus: EventBus, model: type) -> None:
    bus.publish(EVENT, model(order_id="A-1", amount=2.5))
    (event,) = bus.subscribe(EVENT, follow=False, model=model)
    assert event.payload == model(order_id="A-1", amount=2.5)


def test_a_key_keeps_its_partition_and_java_s_partitioner_chose_it(
    bus: EventBus, settings: Settings
) -> None:
    event = "Reading_Taken__e"
    bus.publish_many(
        event, ({"sensor": f"s{number % 7}", "value": number} for number in range(210))
    )
    read = [(event.payload["sensor"], event.payload["value"]) for event in bus.subscribe(
        event, follow=False)]  # fmt: skip
    for sensor in {sensor for sensor, _ in read}:
        values = [value for s, value in read if s == sensor]
        assert values == sorted(values)
        assert len(values) == 30
    for message in consume_raw(settings, event, 10):
        key = message.key()
        assert key is not None
        assert (murmur2(key) & 0x7FFFFFFF) % 3 == 0


class Color(str, enum.Enum):  # noqa: UP042 - its str() is not its text, which is the point
    RED = "RED"


def test_keys_are_the_text_of_the_value(bus: EventBus, settings: Settings, tmp_path: Path) -> None:
    typed = """
        event: Thing_Typed__e
        partition_key: {key}
        fields:
          - name: color
            type: {{type: enum, name: Color, symbols: [RED]}}
          - name: id
            type: {{type: string, logicalType: uuid}}
            default: 0F9E8D7C-0000-4000-8000-00000000000A
          - {{name: number, type: long}}
    """
    expected = {
        "color": b"RED",
        "id": b"0f9e8d7c-0000-4000-8000-00000000000a",
        "number": b"-7",
    }
    for key, bytes_ in expected.items():
        name = f"Thing_{key.capitalize()}__e"
        text = textwrap.dedent(typed).format(key=key).replace("Thing_Typed__e", name)
        apply_texts(settings, tmp_path / key, text, project=key)
        bus.publish(name, {"color": Color.RED, "number": -7})
        (message,) = consume_raw(settings, name, 1)
        assert message.key() == bytes_


def murmur2(data: bytes) -> int:
    """Java's `Utils.murmur2`, from the Apache Kafka protocol's documentation of partitioning."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) - len(data) % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


def test_closing_waits_for_what_is_on_its_way(settings: Settings, bus: EventBus) -> None:
    with EventBus(settings) as other:
        futures = [other.submit(EVENT, order(number)) for number in range(2000)]
    assert {future.result(0).status for future in futures} == {PERSISTED}
    wait_until(lambda: len(payloads_of(bus)) == 2000)
