"""Records of other software, and those that cannot be decoded."""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options
from platform_events.catalog.live import Catalog
from platform_events.definitions.schema import schema_id_from_guid
from platform_events.errors import UndecodableRecordError
from platform_events.payloads.codec import PayloadEncoder
from platform_events.settings import Settings
from tests.bus.orders import EVENT, orders, publish_orders
from tests.support import (
    ORDER,
    consume_raw,
    load,
    produce_many,
    produce_raw,
)


class TestForeignRecords:
    def test_a_record_without_cloudevents_headers_is_delivered(
        self, bus: EventBus, settings: Settings
    ) -> None:
        bus.publish(EVENT, {"order_id": "A-7"})
        (message,) = consume_raw(settings, EVENT, 1)
        schema = dict(message.headers() or ())["__value_schema_id"]
        produce_raw(settings, EVENT, message.value(), {"__value_schema_id": schema, "x": b"y"})
        read = [list(bus.subscribe(EVENT, follow=False))[1] for _ in range(2)]
        assert read[0].payload["order_id"] == "A-7"
        assert read[0].type == EVENT
        assert read[0].headers == {"x": b"y"}
        assert read[0].event_id == read[1].event_id != ""

    def test_type_and_id_are_the_same_whatever_the_order_of_headers(
        self, bus: EventBus, settings: Settings
    ) -> None:
        publish_orders(bus, 1)
        (message,) = consume_raw(settings, EVENT, 1)
        schema = ("__value_schema_id", dict(message.headers() or ())["__value_schema_id"])
        event_id, type_ = ("ce_id", b"mine"), ("ce_type", b"Other")
        kinds: list[tuple[tuple[str, Any], ...]] = [
            (schema,),
            (schema, event_id),
            (schema, type_),
            (schema, event_id, type_),
            (schema, ("ce_id", None), ("ce_type", b"")),
        ]
        for kind in kinds:
            for headers in itertools.permutations((*kind, ("x", None))):
                produce_raw(settings, EVENT, message.value(), list(headers))
        first, *read = bus.subscribe(EVENT, follow=False)
        again = list(bus.subscribe(EVENT, first.replay_id, False))
        assert [event.event_id for event in again] == [event.event_id for event in read]
        for kind in kinds:
            given = dict(kind)
            for _ in itertools.permutations((*kind, ("x", None))):
                event = read.pop(0)
                assert event.type == (given.get("ce_type") or EVENT.encode()).decode()
                if given.get("ce_id"):
                    assert event.event_id == "mine"
                else:
                    assert uuid.UUID(event.event_id).version == 5
                assert event.headers == {"x": None}
        assert not read

    def test_an_unknown_schema_is_asked_for_once_a_batch(
        self, bus: EventBus, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = []
        schema = Catalog.schema
        monkeypatch.setattr(
            Catalog, "schema", lambda *a, **k: (asked.append(a[1]), schema(*a, **k))[1]
        )
        publish_orders(bus, 1)
        produce_many(settings, EVENT, 500, [("__value_schema_id", b"\x01" + b"?" * 16)])
        publish_orders(bus, 1, first=1)
        with bus.subscribe(EVENT, follow=False, on_undecodable="skip") as subscription:
            assert orders(subscription) == [0, 1]
        assert 1 <= asked.count(schema_id_from_guid(b"?" * 16)) <= 5

    def test_a_schema_applied_after_it_was_asked_for_is_found(
        self, bus: EventBus, settings: Settings, tmp_path: Path
    ) -> None:
        """Whoever writes events right after an apply finds readers that know their schema."""
        newer = load(tmp_path / "newer", ORDER + "  - {name: more, type: string, optional: true}")
        schema = newer.events[EVENT].schema
        headers = [("__value_schema_id", b"\x01" + schema.guid)]
        body = PayloadEncoder(schema.parsed).encode(
            {"CreatedDate": 1, "CreatedById": "x", "order_id": "A-1", "more": "m"}
        )
        with bus.subscribe(EVENT) as subscription:
            produce_raw(settings, EVENT, body, headers)
            with pytest.raises(UndecodableRecordError, match="never applied"):
                next(subscription)
            apply(settings, newer, plan_options(settings))
            # Its readers were told that the schema is unknown less than a second ago.
            produce_raw(settings, EVENT, body, headers)
            assert next(subscription).payload["more"] == "m"

    @pytest.mark.parametrize(
        ("value", "header", "reason"),
        [
            (b"\x00", None, "no header __value_schema_id"),
            (b"\x00", b"\x01" + b"?" * 16, "never applied"),
            (b"\x00", b"\x00\x00\x00\x00\x07", "no header __value_schema_id"),
            (None, "its own", "tombstone"),
            (b"\xff" * 40, "its own", "decoded"),
            (b"", "its own", "decoded"),
            ("longer", "its own", "left over"),
        ],
    )
    def test_what_cannot_be_decoded_is_one_error_and_reading_goes_on(
        self, bus: EventBus, settings: Settings, value: Any, header: Any, reason: str
    ) -> None:
        publish_orders(bus, 1)
        (good,) = consume_raw(settings, EVENT, 1)
        if header == "its own":
            header = dict(good.headers() or ())["__value_schema_id"]
        if value == "longer":
            value = (good.value() or b"") + b"\x00"
        headers = [] if header is None else [("__value_schema_id", header)]
        offset = produce_raw(settings, EVENT, value, headers)
        publish_orders(bus, 2, first=1)
        with bus.subscribe(EVENT, follow=False) as subscription:
            assert next(subscription).payload["order_id"] == "A-0"
            with pytest.raises(UndecodableRecordError, match=reason) as caught:
                next(subscription)
            assert (caught.value.partition, caught.value.offset) == (0, offset)
            assert orders(subscription) == [1, 2]
        with bus.subscribe(EVENT, follow=False, on_undecodable="skip") as subscription:
            assert orders(subscription) == [0, 1, 2]
        with bus.subscribe(EVENT, follow=False) as subscription:
            batches = subscription.batches(10)
            assert len(next(batches)) == 1
            with pytest.raises(UndecodableRecordError):
                next(batches)
            assert [len(batch) for batch in subscription.batches(10)] == [2]
