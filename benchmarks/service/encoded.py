"""Requests as bytes, and what can be told of responses without decoding them.

The generated messages are those of the service's package; loads use them before and after the
measured time only.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from platform_events.service.messages import CUSTOM, EARLIEST, LATEST, FetchRequest, FetchResponse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.rivals.base import Target

CREDIT = 100
"""Events that are asked for at a time: as many as may be owed."""
_PENDING_TAG = 0x20
_RPC_ID = 2 + 36
"""Bytes of the field."""


def topic_of(target: Target) -> str:
    """Return what clients call a stream."""
    return f"/event/{target.event}"


def from_earliest(topic: str, number: int = CREDIT) -> bytes:
    """Return the first request of a client that wants everything."""
    return _fetch(topic_name=topic, replay_preset=EARLIEST, num_requested=number)


def from_latest(topic: str, number: int = CREDIT) -> bytes:
    """Return the first request of a client that wants what comes."""
    return _fetch(topic_name=topic, replay_preset=LATEST, num_requested=number)


def after(topic: str, replay_id: bytes, number: int = CREDIT) -> bytes:
    """Return the first request of a client that goes on."""
    return _fetch(topic_name=topic, replay_preset=CUSTOM, replay_id=replay_id, num_requested=number)


def more(number: int = CREDIT) -> bytes:
    """Return a request for more."""
    return _fetch(num_requested=number)


def _fetch(**fields: object) -> bytes:
    return bytes(FetchRequest(**fields).SerializeToString())


def pending(response: bytes) -> int:
    """Return how many events are owed after a response, from its last two bytes.

    The service writes that field last, and leaves it out when it is zero; what is before it is the
    text of a UUID, which has no byte of that value. `check` sees it decoded.
    """
    return response[-1] if response[-2] == _PENDING_TAG else 0


def events_of(response: bytes, replay_id_size: int) -> memoryview:
    """Return the part with the events, which is the same for all who get them."""
    tail = _RPC_ID + 2 + replay_id_size + (2 if response[-2] == _PENDING_TAG else 0)
    return memoryview(response)[: len(response) - tail]


@dataclass(frozen=True, slots=True)
class Order:
    """What identifies a sequence of events: the same ones in the same order."""

    count: int
    distinct: int
    """Different event IDs."""
    checksum: str
    """Of the IDs, one after the other."""


def order_of(ids: Sequence[str]) -> Order:
    """Summarise event IDs."""
    text = "\n".join(ids).encode()
    return Order(len(ids), len(set(ids)), hashlib.sha256(text).hexdigest())


class WrongResponsesError(Exception):
    """What a service has sent is not what it should."""


@contextmanager
def failing_in_a_line() -> Iterator[None]:
    """Have a call that fails say why in one line: a worker's last one is what is told."""
    try:
        yield
    except grpc.RpcError as error:
        code, details = error.code().name, error.details()
        raise WrongResponsesError(f"a call failed with {code}: {details}") from None


def check(responses: Iterable[bytes]) -> Order:
    """Decode what came and return the order of events.

    Raises:
        WrongResponsesError: replay IDs do not rise, a response says another position than that of
            its last event, or what is owed is not what `pending` has read.
    """
    ids: list[str] = []
    last = b""
    for response in responses:
        decoded = FetchResponse.FromString(response)
        if decoded.pending_num_requested != pending(response):
            raise WrongResponsesError("a response does not end with what is owed")
        for event in decoded.events:
            # Of a stream of one partition: big-endian offsets first.
            if event.replay_id <= last:
                raise WrongResponsesError(f"replay IDs do not rise at event {len(ids)}")
            last = event.replay_id
            ids.append(event.event.id)
        if decoded.events and decoded.latest_replay_id != last:
            raise WrongResponsesError("latest_replay_id is not that of the last event")
    return order_of(ids)
