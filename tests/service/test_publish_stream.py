"""PublishStream: request after request, one answer to each."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.encoded import Batch
from platform_events.bus.publisher import Publisher
from platform_events.service import publish_stream
from platform_events.service.errors import UNAVAILABLE, CallError
from platform_events.service.messages import ProducerEvent, PublishRequest, PublishResponse
from platform_events.service.publish import Publishing
from platform_events.settings import Settings
from tests.channels.samples import event
from tests.service.publishing import Writer, is_failure
from tests.service.pubsub import PATIENCE, Client, failure, serving
from tests.support import wait_until

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def client(settings: Settings, define: Callable[..., None]) -> Iterator[Client]:
    define(event("A__e"), event("B__e"))
    with serving(settings) as target:
        client = Client(target)
        yield client
        client.close()


@pytest.fixture
def writer(client: Client) -> Writer:
    return Writer(client)


class Stream:
    """A PublishStream whose requests are sent when the test says so."""

    def __init__(self, client: Client) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call = client.stream("PublishStream", iter(self._requests.get, None))

    def send(self, request: Any) -> None:
        self._requests.put(request)

    def half_close(self) -> None:
        self._requests.put(None)

    def answer(self) -> Any:
        return PublishResponse.FromString(next(self.call))

    def refusal(self) -> tuple[grpc.StatusCode, str]:
        """Return how the call ends, without another answer."""
        with pytest.raises(grpc.RpcError) as caught:
            next(self.call)
        self.half_close()
        return failure(caught.value)[:2]


def numbers(bus: EventBus) -> list[int]:
    return [event.payload["n"] for event in bus.subscribe("A__e", follow=False)]


def test_each_request_has_one_answer_in_order_and_the_end_is_ok(
    client: Client, writer: Writer, bus: EventBus
) -> None:
    batches = [
        [writer.event(200 * batch + n, id=str(batch)) for n in range(200)] for batch in range(30)
    ]
    answers = list(client.stream("PublishStream", [writer.request(*batch) for batch in batches]))
    assert len(answers) == 30
    responses = [PublishResponse.FromString(answer) for answer in answers]
    for number, response in enumerate(responses):
        assert [result.correlation_key for result in response.results] == [str(number)] * 200
        assert not any(map(is_failure, response.results))
        assert response.schema_id == writer.schema_id
    # Requests of one stream stay in their order.
    assert numbers(bus) == list(range(6_000))


def test_an_answer_comes_before_the_next_request(client: Client, writer: Writer) -> None:
    stream = Stream(client)
    for number in range(3):
        stream.send(writer.request(writer.event(number)))
        assert len(stream.answer().results) == 1
    stream.half_close()
    assert list(stream.call) == []
    assert stream.call.code() is grpc.StatusCode.OK


def test_only_the_first_request_has_to_name_the_topic(
    client: Client, writer: Writer, bus: EventBus
) -> None:
    stream = Stream(client)
    stream.send(writer.request(writer.event(1)))
    stream.send(PublishRequest(events=[writer.event(2)]))
    assert not any(is_failure(stream.answer().results[0]) for _ in range(2))
    stream.send(PublishRequest(topic_name="/event/B__e", events=[writer.event(3)]))
    assert stream.refusal() == (INVALID, "publish.topic.mismatch")
    assert numbers(bus) == [1, 2]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (PublishRequest(topic_name="/event/A__e"), "publish.event.count.invalid"),
        (PublishRequest(), "publish.topic.validation.empty"),
        (b"\xff\xff", "publish.event.count.invalid"),
    ],
)
def test_what_is_no_request_ends_the_stream(client: Client, request_: Any, code: str) -> None:
    stream = Stream(client)
    stream.send(request_)
    assert stream.refusal() == (INVALID, code)


def test_what_came_before_a_wrong_request_is_answered(
    client: Client, writer: Writer, bus: EventBus
) -> None:
    stream = Stream(client)
    for number in range(5):
        stream.send(writer.request(writer.event(number)))
    stream.send(writer.request())
    for _ in range(5):
        assert not is_failure(stream.answer().results[0])
    assert stream.refusal() == (INVALID, "publish.event.count.invalid")
    assert numbers(bus) == [0, 1, 2, 3, 4]


def test_an_unknown_topic_is_not_found(client: Client, writer: Writer) -> None:
    writer.topic = "/event/Nothing__e"
    stream = Stream(client)
    stream.send(writer.request(writer.event(1)))
    assert stream.refusal() == (grpc.StatusCode.NOT_FOUND, "topic.not.found")


def test_bad_events_are_refused_alone(client: Client, writer: Writer, bus: EventBus) -> None:
    stream = Stream(client)
    broken = writer.event(0)
    broken.payload = b"wrong"
    stream.send(writer.request(broken))
    stream.send(writer.request(writer.event(1)))
    assert [is_failure(stream.answer().results[0]) for _ in range(2)] == [True, False]
    stream.half_close()
    assert numbers(bus) == [1]


def test_a_stream_without_requests_is_swept(
    client: Client, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_stream, "SWEPT_AFTER", 2.0)
    swept = (grpc.StatusCode.DEADLINE_EXCEEDED, "publish.stream.sweeper.timeout")
    assert Stream(client).refusal() == swept
    stream = Stream(client)
    stream.send(writer.request(writer.event(1)))
    assert not is_failure(stream.answer().results[0])
    assert stream.refusal() == swept


def test_a_stream_that_waits_for_an_answer_is_not_swept(
    client: Client, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Publisher.find
    finding, found = threading.Event(), threading.Event()

    def slow(publisher: Publisher, name: str) -> Any:
        finding.set()
        assert found.wait(PATIENCE)
        return find(publisher, name)

    monkeypatch.setattr(Publisher, "find", slow)
    monkeypatch.setattr(publish_stream, "SWEPT_AFTER", 2.0)
    waiting, idle = Stream(client), Stream(client)
    waiting.send(writer.request(writer.event(1)))
    assert finding.wait(PATIENCE)
    # One that came later is swept meanwhile.
    idle.refusal()
    found.set()
    assert not is_failure(waiting.answer().results[0])
    waiting.half_close()


def test_no_more_requests_are_read_than_may_be_under_way(
    client: Client, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Batch] = []

    def hold(batch: Batch) -> None:
        held.append(batch)

    monkeypatch.setattr(Batch, "seal", hold)
    stream = Stream(client)
    for number in range(40):
        stream.send(writer.request(writer.event(number)))
    wait_until(lambda: len(held) == 8)
    Writer(client)
    assert len(held) == 8
    monkeypatch.undo()
    for batch in held:
        batch.seal()
    assert [len(stream.answer().results) for _ in range(40)] == [1] * 40
    stream.half_close()


def test_large_requests_take_their_turn(client: Client, writer: Writer, bus: EventBus) -> None:
    sizes = [5_000, 1, 3_000, 1, 1, 2_500]
    requests = [writer.request(*map(writer.event, range(size))) for size in sizes]
    answers = client.stream("PublishStream", requests)
    assert [len(PublishResponse.FromString(one).results) for one in answers] == sizes
    assert len(numbers(bus)) == sum(sizes)


def test_what_was_sent_stays_sent_when_the_client_goes(
    client: Client, writer: Writer, bus: EventBus
) -> None:
    stream = Stream(client)
    stream.send(writer.request(*map(writer.event, range(1_000))))
    stream.send(writer.request(*map(writer.event, range(1_000, 2_000))))
    stream.answer()
    stream.call.cancel()
    stream.half_close()
    again = Stream(client)
    again.send(writer.request(writer.event(-1)))
    assert not is_failure(again.answer().results[0])
    again.half_close()
    found = numbers(bus)
    # The second request may not have been read: then nothing of it is there.
    assert found[:1_000] == list(range(1_000))
    rest = [number for number in found[1_000:] if number >= 0]
    assert rest in ([], list(range(1_000, 2_000)))


def test_a_request_above_the_limit_ends_the_stream(client: Client, writer: Writer) -> None:
    stream = Stream(client)
    stream.send(writer.request(*(writer.event(n, text="x" * 1_000_000) for n in range(5))))
    assert stream.refusal()[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def drain_between(requests: list[Any], before: int) -> tuple[list[bytes], CallError | None]:
    """Return what a stream answers that is stopped once some requests were read, and its end."""
    answers: list[bytes] = []
    read = asyncio.Event()

    class FakeCall:
        async def read(self) -> bytes | None:
            if len(begun) == before:
                read.set()
                await asyncio.Event().wait()
            return bytes(requests[len(begun)].SerializeToString())

        async def write(self, message: bytes) -> None:
            answers.append(message)

    begun: list[Any] = []

    async def answer(request: Any) -> bytes:
        await read.wait()
        return bytes(request.events[0].payload)

    def begin(topic: str, request: Any, sent: asyncio.Event) -> asyncio.Task[bytes]:
        begun.append(request)
        sent.set()
        return asyncio.create_task(answer(request))

    stream = publish_stream.PublishStream(FakeCall(), begin)  # type: ignore[arg-type]
    if before:
        running = asyncio.create_task(stream.run())
        await read.wait()
        stream.stop()
    else:
        stream.stop()
        running = asyncio.create_task(stream.run())
    try:
        await running
    except CallError as error:
        return answers, error
    return answers, None


@pytest.mark.parametrize("before", [0, 1, 5])
def test_a_stream_that_is_stopped_answers_what_is_under_way(before: int) -> None:
    requests = [
        PublishRequest(topic_name="/event/A__e", events=[ProducerEvent(payload=b"%d" % number)])
        for number in range(8)
    ]
    answers, error = asyncio.run(drain_between(requests, before))
    assert answers == [b"%d" % number for number in range(before)]
    assert error is not None
    assert error.code is UNAVAILABLE


def test_the_drain_ends_streams_that_wait_and_those_that_come_after() -> None:
    class SilentCall:
        def __init__(self) -> None:
            self.is_read = asyncio.Event()

        async def read(self) -> bytes | None:
            self.is_read.set()
            return await asyncio.Future()

    async def drain() -> list[Any]:
        publishing = Publishing(None)  # type: ignore[arg-type]
        call = SilentCall()
        waiting = asyncio.create_task(publishing.publish_stream(call))  # type: ignore[arg-type]
        await call.is_read.wait()
        await publishing.drain()
        late = publishing.publish_stream(SilentCall())  # type: ignore[arg-type]
        return await asyncio.gather(waiting, late, return_exceptions=True)

    for error in asyncio.run(drain()):
        assert isinstance(error, CallError)
        assert error.code is UNAVAILABLE
