"""confluent-kafka's own serializers: SerializingProducer, DeserializingConsumer, Avro, registry.

The schema ID travels in the header, as both classes can do by themselves, so that the records are
the same as everybody's. The subject strategy is named, which spares both classes an extra request.
The registry is a stand-in in this process that knows the one schema; both classes ask it once and
then use their caches, so its speed does not matter.

`DeserializingConsumer` has only `poll`. Its documentation recommends to call the deserializer
directly instead, so `consume_batches` does that on batches of 500: a second row of its own.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    DeserializingConsumer,
    KafkaException,
    SerializingProducer,
    TopicPartition,
)
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from benchmarks.rivals.base import (
    BATCH,
    LIBRDKAFKA_CONSUMER,
    LIBRDKAFKA_PRODUCER,
    SCHEMA_ID_HEADER,
    Consumed,
    NotAcknowledgedError,
    Published,
    Stopwatch,
    Target,
    complete,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from confluent_kafka import KafkaError, Message

    from benchmarks.shapes import Payload

_POLL_EVERY = 500


@contextmanager
def _registry(target: Target) -> Iterator[SchemaRegistryClient]:
    """Serve the one schema over HTTP, in the registry's own form."""
    guid = str(UUID(bytes=target.schema_guid))
    # Without the GUID in the answer the client would not cache it and ask again for every event.
    known = {"schema": json.dumps(target.schema), "schemaType": "AVRO", "id": 1, "guid": guid}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200, known | {"version": 1, "subject": target.topic})

        def do_GET(self) -> None:
            if self.path.split("?")[0] == f"/schemas/guids/{guid}":
                self._answer(200, known)
            else:
                self._answer(404, {"error_code": 40401, "message": "not found"})

        def _answer(self, status: int, document: dict[str, object]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        with SchemaRegistryClient({"url": f"http://127.0.0.1:{server.server_port}"}) as client:
            yield client
    finally:
        server.shutdown()
        server.server_close()


def publish(target: Target, warmup: Sequence[Payload], payloads: Sequence[Payload]) -> Published:
    """Publish with SerializingProducer; outcomes as in the bare publisher."""
    fixed = [entry for entry in target.fixed_headers if entry[0] != SCHEMA_ID_HEADER]
    acknowledged: list[int] = []
    failures: list[tuple[KafkaError, Message]] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is None:
            acknowledged.append(message.offset() or 0)
        else:
            failures.append((error, message))

    def send_all(batch: Sequence[Payload]) -> list[str]:
        ids: list[str] = []
        for number, payload in enumerate(batch):
            event_id = str(uuid4())
            ids.append(event_id)
            while True:
                try:
                    producer.produce(
                        target.topic,
                        value=complete(payload),
                        on_delivery=report,
                        # The serializer appends the schema ID's header to this list.
                        headers=[("ce_id", event_id), *fixed],
                    )
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
            if number % _POLL_EVERY == 0:
                producer.poll(0)
        producer.flush(60)
        return ids

    with _registry(target) as client:
        serializer = AvroSerializer(
            client,
            json.dumps(target.schema),
            conf={
                "subject.name.strategy": topic_subject_name_strategy,
                "schema.id.serializer": header_schema_id_serializer,
            },
        )
        producer: SerializingProducer[str, Payload] = SerializingProducer(
            LIBRDKAFKA_PRODUCER
            | {"bootstrap.servers": target.bootstrap_servers, "value.serializer": serializer}
        )
        ids = send_all(warmup)
        watch = Stopwatch()
        ids += send_all(payloads)
        took = watch.read()
    if failures or len(acknowledged) != len(ids):
        raise NotAcknowledgedError(f"{len(acknowledged)} of {len(ids)} acknowledged")
    return Published(ids, len(payloads), took)


def _deserializer(client: SchemaRegistryClient) -> AvroDeserializer:
    made: AvroDeserializer = AvroDeserializer(
        client, conf={"subject.name.strategy": topic_subject_name_strategy}
    )
    return made


def _from_the_beginning(target: Target) -> list[TopicPartition]:
    return [TopicPartition(target.topic, n, OFFSET_BEGINNING) for n in range(target.partitions)]


def consume(target: Target, count: int) -> Consumed:
    """Consume with DeserializingConsumer, whose only call is `poll`."""
    with _registry(target) as client:
        consumer: DeserializingConsumer[str, Payload] = DeserializingConsumer(
            LIBRDKAFKA_CONSUMER
            | {
                "bootstrap.servers": target.bootstrap_servers,
                "group.id": f"registry-{uuid4()}",
                "value.deserializer": _deserializer(client),
            }
        )
        consumer.assign(_from_the_beginning(target))
        ids: list[str] = []
        payload: Any = {}
        positions = [0] * target.partitions
        watch = Stopwatch()
        while len(ids) < count:
            message: Any = consumer.poll(1.0)
            if message is None:
                continue
            if not ids:
                watch.start()
            payload = message.value()
            headers = message.headers()
            name, event_id = headers[0]
            if name != "ce_id":
                event_id = dict(headers)["ce_id"]
            ids.append(event_id.decode())
            positions[message.partition()] = message.offset()
        took = watch.read()
        consumer.close()
    return Consumed(ids, took, payload)


def consume_batches(target: Target, count: int) -> Consumed:
    """Consume in batches of 500 and call the deserializer directly."""
    with _registry(target) as client:
        deserialize = _deserializer(client)
        consumer = Consumer(
            LIBRDKAFKA_CONSUMER
            | {"bootstrap.servers": target.bootstrap_servers, "group.id": f"registry-{uuid4()}"}
        )
        consumer.assign(_from_the_beginning(target))
        ids: list[str] = []
        payload: Any = {}
        positions = [0] * target.partitions
        message: Any
        messages: list[Message] = []
        while not messages:
            messages = consumer.consume(1, 1.0)
        watch = Stopwatch()
        while messages or len(ids) < count:
            for message in messages:
                if message.error():
                    raise KafkaException(message.error())
                headers = message.headers()
                context = SerializationContext(target.topic, MessageField.VALUE, headers)
                payload = deserialize(message.value(), context)
                name, event_id = headers[0]
                if name != "ce_id":
                    event_id = dict(headers)["ce_id"]
                ids.append(event_id.decode())
                positions[message.partition()] = message.offset()
            # Not more than are left: `consume` waits for the whole batch.
            left = min(BATCH, count - len(ids))
            messages = consumer.consume(left, 1.0) if left else []
        took = watch.read()
        consumer.close()
    return Consumed(ids, took, payload)
