"""Other software reads what the bus writes: Confluent's own deserializer, unmodified."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from platform_events.bus.bus import EventBus
from platform_events.definitions.schema import schema_id_from_guid
from platform_events.errors import UnknownSchemaError
from platform_events.settings import Settings
from tests.support import consume_raw, topic_of

EVENT = "Order_Placed__e"


@pytest.fixture
def registry(bus: EventBus) -> Iterator[str]:
    """The one request of the Schema Registry's REST form that reading takes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            guid = self.path.partition("?")[0].removeprefix("/schemas/guids/")
            try:
                schema_id = schema_id_from_guid(uuid.UUID(guid).bytes)
                answer: dict[str, object] = {
                    "schema": bus.catalog.schema(schema_id).text,
                    "schemaType": "AVRO",
                }
                status = 200
            except (ValueError, UnknownSchemaError):
                answer = {"error_code": 40401, "message": "not found"}
                status = 404
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_confluent_s_avro_deserializer_reads_a_published_record(
    bus: EventBus, settings: Settings, registry: str
) -> None:
    bus.publish(EVENT, {"order_id": "A-1", "amount": 12.5, "CreatedDate": 5})
    (message,) = consume_raw(settings, EVENT, 1)
    deserialize = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    context = SerializationContext(topic_of(settings, EVENT), MessageField.VALUE, message.headers())
    assert deserialize(message.value(), context) == {
        "CreatedDate": 5,
        "CreatedById": settings.created_by,
        "order_id": "A-1",
        "amount": 12.5,
        "note": None,
    }
