"""A Subscribe call in a test: requests go when the test says so, responses are looked at."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from platform_events.bus.bus import EventBus
from platform_events.payloads.codec import PayloadDecoder
from platform_events.service.messages import EARLIEST, FetchRequest, FetchResponse
from tests.service.pubsub import METADATA, Client, failure

A, KEYED, CHANNEL = "A__e", "Keyed__e", "All__chn"
TOPIC = f"/event/{A}"
INVALID = grpc.StatusCode.INVALID_ARGUMENT

Refusal = tuple[grpc.StatusCode, str, dict[str, Any]]


class Subscribed:
    """A call under way, which has sent its first request."""

    def __init__(
        self,
        client: Client,
        topic: str,
        number: int = 100,
        preset: int = EARLIEST,
        replay_id: bytes = b"",
        **metadata: str,
    ) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.topic = topic
        self.events: list[Any] = []
        """The `ConsumerEvent`s that came."""
        self._taken = 0
        self.responses: list[Any] = []
        self.asked = 0
        self.goes_on = False
        """Whether to ask for more while a failure is waited for."""
        self.ask(number, topic_name=topic, replay_preset=preset, replay_id=replay_id)
        more = tuple((name.replace("_", "-"), value) for name, value in metadata.items())
        requests = iter(self._requests.get, "over")
        self.call = client.stream("Subscribe", requests, (*METADATA, *more))

    def ask(self, number: int = 100, **fields: Any) -> None:
        """Ask for more events."""
        self.asked += min(max(number, 0), 100)
        self.send(FetchRequest(num_requested=number, **fields))

    def send(self, request: Any) -> None:
        """Send a request, or bytes."""
        self._requests.put(request)

    def half_close(self) -> None:
        """Say that no more requests come."""
        self._requests.put("over")

    def response(self) -> Any:
        """Return the next response, once it is checked."""
        response = FetchResponse.FromString(next(self.call))
        self.responses.append(response)
        self.events += response.events
        self.asked -= len(response.events)
        assert self.asked >= 0, "more than were asked for"
        assert response.latest_replay_id
        assert response.rpc_id == self.responses[0].rpc_id
        if response.events:
            assert response.latest_replay_id == response.events[-1].replay_id
        return response

    def take(self, count: int, number: int = 100) -> list[Any]:
        """Return the next events, asking for more whenever nothing is owed."""
        first, self._taken = self._taken, self._taken + count
        while len(self.events) < self._taken:
            if self.response().pending_num_requested == 0:
                self.ask(number)
        return self.events[first : self._taken]

    def failure(self) -> Refusal:
        """Return how the call fails, whatever comes before."""
        with pytest.raises(grpc.RpcError) as caught:
            self._take_all()
        return failure(caught.value)

    def _take_all(self) -> None:
        while True:
            if self.response().pending_num_requested == 0 and self.goes_on:
                self.ask()

    def cancel(self) -> None:
        """Go away."""
        self.call.cancel()
        self.half_close()


@contextmanager
def subscribed(client: Client, topic: str, *args: Any, **options: Any) -> Iterator[Subscribed]:
    """Subscribe for the length of a `with`."""
    subscription = Subscribed(client, topic, *args, **options)
    try:
        yield subscription
    finally:
        subscription.cancel()


def payloads(bus: EventBus, events: list[Any]) -> list[dict[str, Any]]:
    """Return what events say, each decoded with its own schema."""
    decoders: dict[str, PayloadDecoder] = {}
    decoded = []
    for one in events:
        schema_id = one.event.schema_id
        if schema_id not in decoders:
            decoders[schema_id] = PayloadDecoder(bus.catalog.schema(schema_id).parsed)
        decoded.append(decoders[schema_id].decode(one.event.payload))
    return decoded


def numbers(bus: EventBus, events: list[Any]) -> list[int]:
    """Return their field `n`."""
    return [int(payload["n"]) for payload in payloads(bus, events)]


def publish(bus: EventBus, count: int, first: int = 0, name: str = A) -> None:
    results = bus.publish_many(name, [{"n": n} for n in range(first, first + count)])
    assert all(result.replay_id for result in results)
