"""Schemas over HTTP: for Confluent's own client and deserializer, unmodified, and when it fails."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient, SchemaRegistryError
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from starlette.types import ASGIApp, Receive, Scope, Send

from platform_events.bus.bus import EventBus
from platform_events.service.http.application import make_application
from platform_events.settings import Settings
from tests.service.serving import ask, served
from tests.support import ORDER, consume_raw, topic_of

EVENT = "Order_Placed__e"
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
GUID = "00000000-0000-0000-0000-00000000000a"
"""Of no schema."""


class Counting:
    """An application that counts what it is asked for."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        self.asked: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked[scope["path"]] += 1
        await self._application(scope, receive, send)


@pytest.fixture(scope="module")
def away() -> Iterator[str]:
    """The URL of a server whose Kafka is away."""
    with (
        EventBus(bootstrap_servers="127.0.0.1:1") as bus,
        served(make_application(bus)) as url,
    ):
        yield url


def guid_of(bus: EventBus) -> str:
    return str(uuid.UUID(bytes=bus.catalog.event(EVENT).schema.guid))


def test_confluent_s_deserializer_reads_a_topic_and_asks_once_for_each_schema(
    settings: Settings, define: Callable[..., None]
) -> None:
    guids = []
    for version, more in enumerate(("", "  - {name: place, type: string, optional: true}\n")):
        define(ORDER + more)
        with EventBus(settings) as bus:
            guids.append(guid_of(bus))
            for number in range(2):
                bus.publish(EVENT, {"order_id": f"A-{version}{number}", "CreatedDate": 1})
    values = []
    with EventBus(settings) as bus:
        application = Counting(make_application(bus))
        with served(application) as url, SchemaRegistryClient({"url": url}) as client:
            deserialize = AvroDeserializer(client)
            for record in consume_raw(settings, EVENT, 4):
                topic, headers = topic_of(settings, EVENT), record.headers()
                context = SerializationContext(topic, MessageField.VALUE, headers)
                values.append(deserialize(record.value(), context))
            with pytest.raises(SchemaRegistryError) as refused:
                client.get_schema_by_guid(GUID)
    assert len(set(guids)) == 2
    of_schemas = {path: count for path, count in application.asked.items() if "guids" in path}
    assert of_schemas == {f"/schemas/guids/{guid}": 1 for guid in (*guids, GUID)}
    first = {"CreatedDate": 1, "CreatedById": settings.created_by, "amount": 0.0, "note": None}
    second = first | {"place": None}
    assert values == [
        first | {"order_id": "A-00"},
        first | {"order_id": "A-01"},
        second | {"order_id": "A-10"},
        second | {"order_id": "A-11"},
    ]
    assert (refused.value.http_status_code, refused.value.error_code) == (404, 40403)


def test_a_schema_that_was_applied_while_it_runs_is_served_and_an_unknown_one_is_not(
    settings: Settings, bus: EventBus, define: Callable[..., None]
) -> None:
    with served(make_application(bus)) as url:
        unknown = ask(f"{url}/schemas/guids/{GUID}")
        define(ORDER)
        with EventBus(settings) as other:
            guid, schema = guid_of(other), other.catalog.event(EVENT).schema
        known = [
            ask(f"{url}/schemas/guids/{asked}")
            for asked in (guid, guid.upper(), f"{guid}?format=resolved")
        ]
    assert (unknown.status, unknown.media_type) == (404, MEDIA_TYPE)
    assert unknown.document == {
        "error_code": 40403,
        "message": f"schema AAAAAAAAAAAAAAAAAAAACg was never applied in tenant {settings.tenant!r}",
    }
    document = {"guid": guid, "schemaType": "AVRO", "schema": schema.text}
    assert known == [(200, MEDIA_TYPE, document)] * 3


@pytest.mark.parametrize("text", ["1", "latest", GUID[:-1], GUID.replace("-", ""), f"{{{GUID}}}"])
def test_what_is_no_guid_is_not_found_and_kafka_is_not_asked(away: str, text: str) -> None:
    status, media_type, document = ask(f"{away}/schemas/guids/{text}")
    assert (status, media_type, document["error_code"]) == (404, MEDIA_TYPE, 40403)
    assert repr(text) in document["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/subjects", 404),
        ("GET", f"/schemas/guids/{GUID}/", 404),
        ("POST", "/subjects/platform-events.default.Order_Placed__e-value", 404),
        ("POST", f"/schemas/guids/{GUID}", 405),
        ("DELETE", f"/schemas/guids/{GUID}", 405),
    ],
)
def test_other_paths_and_methods_are_refused_in_json(
    away: str, method: str, path: str, status: int
) -> None:
    answer = ask(away + path, method)
    assert (answer.status, answer.media_type) == (status, MEDIA_TYPE)
    assert answer.document["error_code"] == status
    message = answer.document["message"]
    assert f": {method} {path}" in message
    assert ("/schemas/guids/GUID" in message) == (status == 404)


def test_without_kafka_it_is_unavailable(away: str, capfd: pytest.CaptureFixture[str]) -> None:
    answer = ask(f"{away}/schemas/guids/{GUID}")
    assert (answer.status, answer.media_type) == (503, MEDIA_TYPE)
    assert answer.document["error_code"] == 503
    assert "127.0.0.1:1" in answer.document["message"]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_closed_bus_is_unavailable_and_a_defect_is_an_error_that_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    closed = EventBus(bootstrap_servers="127.0.0.1:1")
    closed.close()
    broken: EventBus = object()  # type: ignore[assignment]
    for bus, status in ((closed, 503), (broken, 500)):
        with served(make_application(bus)) as url:
            answer = ask(f"{url}/schemas/guids/{GUID}")
        assert (answer.status, answer.document["error_code"]) == (status, status)
        assert "AttributeError" not in answer.document["message"]
    assert "AttributeError" in caplog.text
    assert "Traceback" not in "".join(capfd.readouterr())
