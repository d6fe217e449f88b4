"""Reads the log itself, with none of the code under test, to see what a publisher really wrote.

Only which headers the bus would have written is asked of the bus.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, TopicPartition
from fastavro import schemaless_reader

from benchmarks.events import CREATED_BY, Digest, digest
from benchmarks.rivals.base import HEADERS, LIBRDKAFKA_CONSUMER, SCHEMA_ID_HEADER, SOURCE, Target
from benchmarks.runner import MeasurementError

if TYPE_CHECKING:
    from benchmarks.shapes import Payload

Ends = list[int]
"""The end offset of each partition of a stream."""


class AuditError(MeasurementError):
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


def audit_layout(target: Target) -> None:
    """Check that the first record has exactly the headers that the bus would give it, in order.

    Readers of the bus are fastest with what it writes itself; streams that others filled have to
    look the same, or what is measured is not what users get.

    Raises:
        AuditError: it has not, or there is no record.
    """
    # Here, since workers also run with older versions, which had this elsewhere.
    from platform_events.envelope import ID, fixed_headers

    expected = fixed_headers(target.event, SOURCE, target.schema_id)
    consumer = _consumer(target)
    starts = [TopicPartition(target.topic, number, 0) for number in range(target.partitions)]
    consumer.assign(starts)
    messages: list[Any] = consumer.consume(1, 10.0)
    consumer.close()
    if not messages:
        raise AuditError(f"{target.topic} has no record")
    if messages[0].error():
        raise KafkaException(messages[0].error())
    first, *others = messages[0].headers()
    if first[0] != ID or others != expected:
        raise AuditError(f"the bus would not write the headers {[first, *others]}")


def _body(target: Target, value: bytes) -> Payload:
    payload = schemaless_reader(io.BytesIO(value), target.schema, None)
    if not isinstance(payload, dict) or payload.pop("CreatedById") != CREATED_BY:
        raise AuditError(f"a payload lacks its system fields: {payload!r}")
    if not payload.pop("CreatedDate"):
        raise AuditError(f"a payload has no CreatedDate: {payload!r}")
    return payload
