"""Reads the log itself, with none of the code under test, to see what a publisher really wrote."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, TopicPartition
from fastavro import schemaless_reader

from benchmarks.events import CREATED_BY, Digest, digest
from benchmarks.rivals.base import HEADERS, LIBRDKAFKA_CONSUMER, SCHEMA_ID_HEADER, Target

if TYPE_CHECKING:
    from benchmarks.shapes import Payload

Ends = list[int]
"""The end offset of each partition of a stream."""


class AuditError(Exception):
    """The log does not hold what it should."""


def _consumer(target: Target) -> Consumer:
    return Consumer(
        LIBRDKAFKA_CONSUMER
        | {"bootstrap.servers": target.bootstrap_servers, "group.id": f"audit-{uuid4()}"}
    )


def end_offsets(target: Target) -> Ends:
    """Return the current end of each partition."""
    consumer = _consumer(target)
    ends = [
        consumer.get_watermark_offsets(TopicPartition(target.topic, number), timeout=10)[1]
        for number in range(target.partitions)
    ]
    consumer.close()
    return ends


def audit_log(target: Target, start: Ends, last_payload: Payload) -> Digest:
    """Summarise the events that were appended from `start` until now, checking each record.

    Raises:
        AuditError: a record lacks one of the six headers or names another schema, or
            `last_payload` is not among the last events.
    """
    end = end_offsets(target)
    consumer = _consumer(target)
    consumer.assign([TopicPartition(target.topic, n, offset) for n, offset in enumerate(start)])
    ids: list[str] = []
    schema_id = b"\x01" + target.schema_guid
    tails: list[bytes] = [b""] * target.partitions
    while len(ids) < sum(end) - sum(start):
        messages: list[Any] = consumer.consume(500, 1.0)
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            headers: dict[str, Any] = dict(message.headers())
            if not headers.keys() >= HEADERS or headers[SCHEMA_ID_HEADER] != schema_id:
                raise AuditError(f"offset {message.offset()} has the headers {headers}")
            ids.append(headers["ce_id"].decode())
            tails[message.partition()] = message.value()
    consumer.close()
    if last_payload not in [_body(target, tail) for tail in tails if tail]:
        raise AuditError(f"the last event is not {last_payload!r}")
    return digest(ids)


def _body(target: Target, value: bytes) -> Payload:
    payload = schemaless_reader(io.BytesIO(value), target.schema, None)
    if not isinstance(payload, dict) or payload.pop("CreatedById") != CREATED_BY:
        raise AuditError(f"a payload lacks its system fields: {payload!r}")
    if not payload.pop("CreatedDate"):
        raise AuditError(f"a payload has no CreatedDate: {payload!r}")
    return payload
