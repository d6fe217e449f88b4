"""What clients ask first: a topic, a schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import grpc
import pytest

from platform_events.service.messages import SchemaInfo, SchemaRequest, TopicInfo, TopicRequest
from platform_events.settings import Settings
from tests.channels.samples import channel, event
from tests.service.pubsub import METADATA, Client, failure, serving

TOPIC = "/event/A__e"


@pytest.fixture
def client(settings: Settings, define: Callable[..., None]) -> Iterator[Client]:
    define(event("A__e"), event("B__e"), channel("All__chn", "A__e", "B__e"))
    with serving(settings) as target:
        client = Client(target)
        yield client
        client.close()


def topic(client: Client, name: str) -> TopicInfo:
    return client.ask("GetTopic", TopicRequest(topic_name=name), answer=TopicInfo)


def refusal(
    client: Client, method: str, request: object, metadata: object = METADATA
) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.RpcError) as caught:
        client.ask(method, request, metadata)
    return failure(caught.value)


def test_a_topic_says_what_may_be_done_and_names_the_schema(client: Client) -> None:
    info = topic(client, TOPIC)
    assert (info.topic_name, info.can_publish, info.can_subscribe) == (TOPIC, True, True)
    assert info.tenant_guid.startswith("CORE/prod/00D")
    assert len(info.tenant_guid) == len("CORE/prod/") + 18
    schema = client.ask("GetSchema", SchemaRequest(schema_id=info.schema_id), answer=SchemaInfo)
    assert schema.schema_id == info.schema_id
    assert json.loads(schema.schema_json)["name"] == "A__e"
    assert len({info.rpc_id, schema.rpc_id}) == 2


def test_a_channel_has_no_schema_and_takes_no_events(client: Client) -> None:
    info = topic(client, "/event/All__chn")
    assert (info.schema_id, info.can_publish, info.can_subscribe) == ("", False, True)


def test_what_was_just_applied_is_known(client: Client, define: Callable[..., None]) -> None:
    refusal(client, "GetTopic", TopicRequest(topic_name="/event/New__e"))
    define(event("New__e"), prune=False)
    assert topic(client, "/event/New__e").can_publish


@pytest.mark.parametrize(
    "name",
    ["/event/Nothing__e", "A__e", "/data/A__e", "/event/", "/event/A__e/", "é\n", "x" * 9000],
)
def test_what_is_no_topic_is_not_found(client: Client, name: str) -> None:
    status, code, trailers = refusal(client, "GetTopic", TopicRequest(topic_name=name))
    assert (status, code) == (grpc.StatusCode.NOT_FOUND, "topic.not.found")
    assert trailers["rpc-id"]


def test_what_is_left_blank_is_said(client: Client) -> None:
    invalid = grpc.StatusCode.INVALID_ARGUMENT
    assert refusal(client, "GetTopic", TopicRequest())[:2] == (invalid, "topic.validation.empty")
    assert refusal(client, "GetSchema", SchemaRequest())[:2] == (
        invalid,
        "schema.validation.failed",
    )


def test_an_unknown_schema_is_refused(client: Client) -> None:
    for schema_id in ("nonsense", "x" * 22, "_CADE3qaegX3ECEW0rlbYA"):
        status, code, _ = refusal(client, "GetSchema", SchemaRequest(schema_id=schema_id))
        assert (status, code) == (grpc.StatusCode.INVALID_ARGUMENT, "schema.validation.failed")


@pytest.mark.parametrize("missing", range(3))
def test_who_says_nothing_about_itself_is_not_let_in(client: Client, missing: int) -> None:
    metadata = [pair for at, pair in enumerate(METADATA) if at != missing]
    status, code, trailers = refusal(
        client, "GetTopic", TopicRequest(topic_name=TOPIC), tuple(metadata)
    )
    assert (status, code) == (grpc.StatusCode.UNAUTHENTICATED, "service.auth.headers.invalid")
    assert not any(name.endswith("-bin") for name in trailers)


@pytest.mark.parametrize("method", ["GetTopic", "GetSchema"])
def test_bytes_that_are_no_request_are_refused(client: Client, method: str) -> None:
    status, code, _ = refusal(client, method, b"\xff\xff\xff")
    assert status is grpc.StatusCode.INVALID_ARGUMENT
    assert code in ("topic.validation.empty", "schema.validation.failed")
