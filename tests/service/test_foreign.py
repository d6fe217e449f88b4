"""Payloads that clients encoded are taken if decoding takes them, and encoding after that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.bus.values import EncodedMessage
from platform_events.catalog.state import Entry
from platform_events.definitions.schema import Schema
from platform_events.errors import (
    BrokerTimeoutError,
    CatalogCorruptError,
    PayloadError,
    PlatformEventsError,
    UnknownSchemaError,
    UsageError,
)
from platform_events.payloads.codec import DecodeError, PayloadEncoder
from platform_events.service.foreign import ForeignPayloads
from platform_events.service.messages import EventHeader, ProducerEvent
from tests.payloads.expectations import record
from tests.payloads.payload_strategies import schemas_and_payloads
from tests.payloads.samples import decode, varint
from tests.payloads.wrong_bodies import HOSTILE, MISREAD

NEWER, OLDER = (Schema.from_normal(record(*types)) for types in (("long", "string"), ("long",)))
OTHER = Schema.from_normal(record("long", "double"))


def payloads_of(*schemas: Schema, doubt: PlatformEventsError | None = None) -> ForeignPayloads:
    """Return how payloads of an event are judged that had these schemas, besides another one."""
    entry = Entry("A__e", "", None, None, schema_ids=tuple(schema.id for schema in schemas))
    known = {schema.id: schema for schema in (*schemas, OTHER)}
    return ForeignPayloads(entry, known.get, doubt)


def refusal(payloads: ForeignPayloads, event: Any) -> PlatformEventsError:
    taken = payloads.take(event)
    assert isinstance(taken, PlatformEventsError)
    return taken


def encodes_again(schema: dict[str, Any], body: bytes) -> bool:
    try:
        payload = decode(schema, body)
    except DecodeError:
        return False
    PayloadEncoder(schema).encode(payload)
    return True


@given(schemas_and_payloads(), st.binary(max_size=64), st.data())
def test_a_payload_is_taken_if_and_only_if_it_decodes_and_encodes_again(
    case: tuple[dict[str, Any], Any], made_up: bytes, data: st.DataObject
) -> None:
    avro, payload = case
    schema = Schema.from_normal(avro)
    payloads = payloads_of(schema)
    body = PayloadEncoder(avro).encode(payload)
    damaged = bytearray(body)
    for _ in range(3 if damaged else 0):
        damaged[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert payloads.judge(schema.id, body) == schema
    for candidate in (made_up, bytes(damaged), body + made_up, body[:-1]):
        if encodes_again(avro, candidate):
            assert payloads.judge(schema.id, candidate) == schema
        else:
            with pytest.raises(PayloadError):
                payloads.judge(schema.id, candidate)


WRONG = [*HOSTILE, *MISREAD]


@pytest.mark.parametrize(("avro", "body", "_"), WRONG, ids=[str(n) for n in range(len(WRONG))])
def test_wrong_bytes_are_refused(avro: Any, body: bytes, _: str) -> None:
    schema = Schema.from_normal(record(avro))
    event = ProducerEvent(schema_id=schema.id, payload=body)
    error = refusal(payloads_of(schema), event)
    assert isinstance(error, PayloadError)
    assert "\n" not in str(error)
    assert schema.id in str(error)


def test_every_schema_that_the_event_had_is_taken_and_no_other() -> None:
    payloads = payloads_of(OLDER, NEWER)
    assert payloads.judge(OLDER.id, varint(1)) is OLDER
    assert payloads.judge(NEWER.id, varint(1) + varint(0)) is NEWER
    for schema, body in ((OLDER, varint(1) + varint(0)), (NEWER, varint(1))):
        with pytest.raises(PayloadError):
            payloads.judge(schema.id, body)
    texts = set()
    for schema_id in (OTHER.id, "x" * 22):
        with pytest.raises(UnknownSchemaError) as caught:
            payloads.judge(schema_id, varint(1) + b"\0" * 8)
        texts.add(str(caught.value).replace(schema_id, ""))
    # Nobody learns in this way what other events there are.
    assert len(texts) == 1
    with pytest.raises(UnknownSchemaError, match="can't be blank"):
        payloads.judge("", varint(1))


def test_a_schema_is_not_called_unknown_when_it_cannot_be_asked_for() -> None:
    doubt = BrokerTimeoutError("away")
    payloads = payloads_of(OLDER, doubt=doubt)
    event = ProducerEvent(schema_id=NEWER.id, payload=varint(1) + varint(0))
    assert refusal(payloads, event) is doubt
    assert payloads.judge(OLDER.id, varint(1)) is OLDER


def test_a_schema_that_cannot_be_read_refuses_its_own_events() -> None:
    def find(schema_id: str) -> Schema:
        if schema_id == OLDER.id:
            return OLDER
        raise CatalogCorruptError("junk")

    entry = Entry("A__e", "", None, None, schema_ids=(OLDER.id, NEWER.id))
    payloads = ForeignPayloads(entry, find)
    broken = ProducerEvent(schema_id=NEWER.id, payload=varint(1) + varint(0))
    assert isinstance(refusal(payloads, broken), CatalogCorruptError)
    assert payloads.judge(OLDER.id, varint(1)) is OLDER


def test_what_has_to_be_asked_for_is_known_before() -> None:
    payloads = payloads_of(OLDER, NEWER)
    events = [ProducerEvent(schema_id=schema_id) for schema_id in (OLDER.id, NEWER.id, "")]
    assert payloads.knows(events)
    assert not payloads.knows([*events, ProducerEvent(schema_id=OTHER.id)])


def test_id_and_headers_are_the_client_s() -> None:
    headers = [EventHeader(key="a", value=b"\xff"), EventHeader(key="b")]
    event = ProducerEvent(id="mine", schema_id=OLDER.id, payload=varint(7), headers=headers)
    payloads = payloads_of(OLDER)
    assert payloads.take(event) == EncodedMessage(
        varint(7), OLDER, "mine", {"a": b"\xff", "b": b""}
    )
    plain = ProducerEvent(schema_id=OLDER.id, payload=varint(7))
    assert payloads.take(plain) == EncodedMessage(varint(7), OLDER)
    event.headers.append(EventHeader(key="a"))
    assert isinstance(refusal(payloads, event), UsageError)
