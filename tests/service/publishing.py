"""Events as a client of the Pub/Sub API encodes them."""

from __future__ import annotations

import json
from typing import Any

from platform_events.payloads.codec import PayloadEncoder
from platform_events.service.messages import (
    ProducerEvent,
    PublishRequest,
    PublishResponse,
    SchemaInfo,
    SchemaRequest,
    TopicInfo,
    TopicRequest,
)
from tests.service.pubsub import Client

TOPIC = "/event/A__e"
NOWHERE = bytes(10)
PUBLISH = 1
"""The error's code."""


class Writer:
    """Encodes events with the schema that a topic has now."""

    def __init__(self, client: Client, topic: str = TOPIC) -> None:
        self.topic = topic
        info = client.ask("GetTopic", TopicRequest(topic_name=topic), answer=TopicInfo)
        self.schema_id: str = info.schema_id
        request = SchemaRequest(schema_id=info.schema_id)
        schema = client.ask("GetSchema", request, answer=SchemaInfo)
        self._encoder = PayloadEncoder(json.loads(schema.schema_json))

    def event(self, n: int, *, text: str | None = None, **more: Any) -> ProducerEvent:
        """Return an event; `more` is what it says beside its payload."""
        return self.made({"n": n, "text": text}, **more)

    def made(self, payload: dict[str, Any], **more: Any) -> ProducerEvent:
        """Return an event with what is not of the system given."""
        body = self._encoder.encode({"CreatedDate": 1, "CreatedById": "somebody", **payload})
        return ProducerEvent(schema_id=self.schema_id, payload=body, **more)

    def request(self, *events: ProducerEvent) -> PublishRequest:
        return PublishRequest(topic_name=self.topic, events=events)


def publish(client: Client, request: PublishRequest) -> PublishResponse:
    return client.ask("Publish", request, answer=PublishResponse)


def is_failure(result: Any) -> bool:
    """Whether a result says all that one of a failed event has to say."""
    if not result.HasField("error"):
        return False
    assert result.replay_id == NOWHERE
    assert result.error.code == PUBLISH
    assert 0 < len(result.error.msg) <= 500
    assert "\n" not in result.error.msg
    return True
