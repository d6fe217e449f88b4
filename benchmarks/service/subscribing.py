"""Loads that subscribe: gRPC's client, many of the least client, and readers without a service.

Each function runs in a worker. All decode only what came when the time is over.
"""

from __future__ import annotations

import os
import queue
import selectors
import sys
import threading
import time
import zlib
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import grpc
from confluent_kafka import Consumer, KafkaException, TopicPartition

from benchmarks.processes import read_vitals
from benchmarks.rivals import bare
from benchmarks.rivals.base import BATCH, LIBRDKAFKA_CONSUMER, Elapsed, Stopwatch, Target
from benchmarks.service.encoded import (
    CREDIT,
    Order,
    WrongResponsesError,
    after,
    check,
    events_of,
    failing_in_a_line,
    from_earliest,
    more,
    order_of,
    pending,
)
from benchmarks.service.http2 import METADATA, SERVICE, Connection
from benchmarks.throughput import forget_harness

if TYPE_CHECKING:
    from collections.abc import Sequence

REPLAY_ID_SIZE = 10
"""Bytes, in a stream of one partition."""
_PATIENCE = 60.0


def _rates(count: int, took: Elapsed, order: Order) -> dict[str, Any]:
    return {"rate": count / took.seconds, "cpu": took.cpu / count * 1e6, "order": asdict(order)}


def consume_bare(target: dict[str, Any], count: int) -> dict[str, Any]:
    """Take messages in batches of 500, and look at none until all are there.

    Time runs from the first message, which is taken alone, until the last.
    """
    batches: list[list[Any]] = []
    forget_harness()
    with bare.reading(Target(**target)) as consumer:
        watch = Stopwatch()
        for messages in bare.fetch(consumer, count):
            if not batches:
                watch.start()
            batches.append(messages)
        took = watch.read()
    ids: list[str] = []
    for messages in batches:
        for message in messages:
            if message.error():
                raise KafkaException(message.error())
            ids.append(dict(message.headers())["ce_id"].decode())
    return _rates(count, took, order_of(ids))


def subscribe(address: str, topic: str, count: int) -> dict[str, Any]:
    """Subscribe with gRPC's client, and ask for 100 more whenever nothing is owed any more.

    So do the official samples. Time runs from the first response with events until the last.
    """
    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    responses: list[bytes] = []
    forget_harness()
    watch = Stopwatch()
    asked = CREDIT
    request, again = from_earliest(topic), more()
    with failing_in_a_line(), grpc.insecure_channel(address) as channel:
        begin = channel.stream_stream(f"/{SERVICE}/Subscribe")
        requests.put(request)
        call = begin(iter(requests.get, None), metadata=METADATA)
        for response in call:
            responses.append(response)
            # The first has no events.
            if len(responses) == 2:
                watch.start()
            if pending(response):
                continue
            if asked == count:
                break
            asked += CREDIT
            requests.put(again)
        took = watch.read()
        requests.put(None)
        call.cancel()
    order = check(responses)
    timed = count - check(responses[:2]).count
    return _rates(timed, took, order)


class _Reader:
    """One Subscribe call on a connection of its own.

    Args:
        address: `host:port`.
        request: the first one.
        asked: what it asks for.
        count: how many events it wants.
        keeps: whether it keeps responses.
    """

    def __init__(
        self, address: str, request: bytes, asked: int, count: int, *, keeps: bool = False
    ) -> None:
        self.connection = Connection(address)
        self._request = request
        self._left = count - asked
        self._call = 0
        self._keeps = keeps
        self.responses: list[bytes] = []
        self.checksum = 0
        self.is_idle = False
        """Whether nothing is owed."""

    @property
    def is_done(self) -> bool:
        """Whether it has all."""
        return self.is_idle and not self._left

    def begin(self) -> None:
        """Subscribe."""
        self._call = self.connection.open("Subscribe", self._request)

    def ask(self) -> None:
        """Ask for more."""
        number = min(CREDIT, self._left)
        self._left -= number
        self.is_idle = False
        self.connection.send(self._call, more(number))

    def take(self) -> None:
        """Take what has come."""
        for _, response in self.connection.receive():
            if response is None:
                raise WrongResponsesError("a Subscribe call has ended")
            self.checksum = zlib.crc32(events_of(response, REPLAY_ID_SIZE), self.checksum)
            if self._keeps:
                self.responses.append(response)
            self.is_idle = not pending(response)


def _drive(readers: Sequence[_Reader], *, asks: bool) -> None:
    """Take what comes until nothing is owed to any, or, if they ask for more, all are done."""
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            selector.register(reader.connection.socket, selectors.EVENT_READ, reader)
        left = len(readers)
        while left:
            ready = selector.select(_PATIENCE)
            if not ready:
                raise WrongResponsesError(f"no events came for {_PATIENCE:g} s")
            for key, _ in ready:
                reader = key.data
                reader.take()
                if not reader.is_idle:
                    continue
                if asks and not reader.is_done:
                    reader.ask()
                else:
                    selector.unregister(key.fileobj)
                    left -= 1


def _meet(word: str) -> None:
    """Say how far this load is, and wait until that was heard: else the result would be lost."""
    print(word, flush=True)
    sys.stdin.readline()


def follow_together(address: str, topic: str, clients: int, count: int) -> dict[str, Any]:
    """Subscribe with so many of the least clients; each has one event when the time begins.

    It says when the last one has all. Returns a checksum of each one's events.
    """
    request = from_earliest(topic, 1)
    readers = [_Reader(address, request, 1, count) for _ in range(clients)]
    for reader in readers:
        reader.begin()
    _drive(readers, asks=False)
    forget_harness()
    _meet("ready")
    for reader in readers:
        reader.ask()
    _drive(readers, asks=True)
    _meet("done")
    return {"checksums": [reader.checksum for reader in readers]}


def replay(address: str, topic: str, replay_ids: list[str | None], end: int) -> dict[str, Any]:
    """Replay from several positions until the same end; the time begins before they subscribe.

    Args:
        address: `host:port`.
        topic: which.
        replay_ids: in hexadecimal with the offset after them; None is the beginning.
        end: offset.
    """
    readers = []
    for replay_id in replay_ids:
        text, _, offset = (replay_id or "").partition("@")
        request = after(topic, bytes.fromhex(text)) if text else from_earliest(topic)
        readers.append(_Reader(address, request, CREDIT, end - int(offset or 0)))
    forget_harness()
    _meet("ready")
    for reader in readers:
        reader.begin()
    _drive(readers, asks=True)
    _meet("done")
    return {"checksums": [reader.checksum for reader in readers]}


def read_reference(
    address: str, topic: str, count: int, positions: list[int], ends: list[int]
) -> dict[str, Any]:
    """Read a stream once and decode all; return what others of its parts have to come to.

    Returns the order of all events, the checksum of those from each position to the end and from
    the beginning to each of the ends, and the replay ID before each position.
    """
    reader = _Reader(address, from_earliest(topic), CREDIT, count, keeps=True)
    reader.begin()
    _drive([reader], asks=True)
    order = check(reader.responses)
    encoded = b"".join(events_of(one, REPLAY_ID_SIZE) for one in reader.responses)
    bounds = [0]
    while bounds[-1] < len(encoded):
        bounds.append(_end_of_event(encoded, bounds[-1]))
    if len(bounds) != count + 1:
        raise WrongResponsesError(f"{len(bounds) - 1} events of {count} can be told apart")
    events = [encoded[begin:end] for begin, end in pairwise(bounds)]
    return {
        "order": asdict(order),
        "suffixes": [zlib.crc32(encoded[bounds[at] :]) for at in positions],
        "prefixes": [zlib.crc32(encoded[: bounds[at]]) for at in ends],
        "replay_ids": [
            f"{events[at - 1][-REPLAY_ID_SIZE:].hex()}@{at}" if at else None for at in positions
        ],
    }


def _end_of_event(encoded: bytes, at: int) -> int:
    at += 1
    size = shift = 0
    while True:
        byte = encoded[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return at + size


def read_alone(target: dict[str, Any], positions: list[int], end: int) -> dict[str, Any]:
    """Read from several positions to the same end, each with a consumer and a thread of its own.

    Each takes batches of 500 and looks at none. The time begins when they are told where to read.
    """
    aim = Target(**target)
    ready, go = threading.Barrier(len(positions) + 1), threading.Event()
    failures: list[Exception] = []

    def read(position: int) -> None:
        try:
            _read_one(aim, position, end, ready, go)
        except Exception as error:  # noqa: BLE001 - raised again by the main thread
            failures.append(error)
            ready.abort()

    threads = [threading.Thread(target=read, args=(at,)) for at in positions]
    for thread in threads:
        thread.start()
    ready.wait(_PATIENCE)
    _meet("ready")
    watch = Stopwatch()
    go.set()
    for thread in threads:
        thread.join()
    took = watch.read()
    _meet("done")
    if failures:
        raise failures[0]
    return {"peak": read_vitals(os.getpid()).peak, "cpu": took.cpu}


def _read_one(
    target: Target, position: int, end: int, ready: threading.Barrier, go: threading.Event
) -> None:
    consumer = Consumer(
        LIBRDKAFKA_CONSUMER
        | {"bootstrap.servers": target.bootstrap_servers, "group.id": f"alone-{position}"}
    )
    consumer.get_watermark_offsets(TopicPartition(target.topic, 0), timeout=_PATIENCE)
    ready.wait(_PATIENCE)
    go.wait()
    consumer.assign([TopicPartition(target.topic, 0, position)])
    at, deadline = position, time.monotonic() + _PATIENCE
    while at < end:
        messages: list[Any] = consumer.consume(min(BATCH, end - at), 1.0)
        for message in messages[-1:]:
            if message.error():
                raise KafkaException(message.error())
            at += len(messages)
            if message.offset() != at - 1:
                raise WrongResponsesError(f"offset {message.offset()} instead of {at - 1}")
        if time.monotonic() > deadline:
            raise WrongResponsesError(f"no end in {_PATIENCE:g} s")
    consumer.close()
