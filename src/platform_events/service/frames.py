"""The bytes of a `FetchResponse`, written by hand: each event's once, whoever reads it.

The fields of a protobuf message may come in any number of pieces. So a response is a run of events
that were encoded before, and what is said to one subscriber after them.
"""

from __future__ import annotations

FRAME_BYTES = 512 * 1024
"""Bytes of events in one response; an event that is larger comes alone. Clients take 3 MB, and one
that does not read has two responses waiting for it."""
_MORE = 0x80
_BITS = 7


def varint(number: int) -> bytes:
    """Return a number that is not negative as protobuf writes it."""
    encoded = bytearray()
    while number >= _MORE:
        encoded.append(number & ~_MORE & 0xFF | _MORE)
        number >>= _BITS
    encoded.append(number)
    return bytes(encoded)


_LENGTHS = tuple(varint(length) for length in range(1_024))
"""Those that are written for most events."""
_FEW = len(_LENGTHS)


def field(number: int, data: bytes) -> bytes:
    """Return a field of text, bytes or a message; `number` is below 16."""
    return bytes((number << 3 | 2,)) + varint(len(data)) + data


def header_field(name: str, value: bytes | None) -> bytes:
    """Return an `EventHeader` as a field of its `ProducerEvent`."""
    return field(4, field(1, name.encode(errors="replace")) + field(2, value or b""))


def schema_field(schema_id: str) -> bytes:
    """Return the schema ID as a field of a `ProducerEvent`."""
    return field(2, schema_id.encode())


def event_field(
    event_id: bytes, schema: bytes, payload: bytes, headers: bytes, replay_id: bytes
) -> bytes:
    """Return a `ConsumerEvent` as a field of a `FetchResponse`.

    Args:
        event_id: in UTF-8.
        schema: what `schema_field` returns.
        payload: the Avro body.
        headers: what `header_field` returns, of all headers.
        replay_id: of the event.
    """
    length = len(payload)
    event = b"\n%b%b%b\x1a%b%b%b" % (
        varint(len(event_id)) if len(event_id) >= _FEW else _LENGTHS[len(event_id)],
        event_id,
        schema,
        varint(length) if length >= _FEW else _LENGTHS[length],
        payload,
        headers,
    )
    length = len(event)
    consumed = b"\n%b%b\x12%b%b" % (
        varint(length) if length >= _FEW else _LENGTHS[length],
        event,
        varint(len(replay_id)) if len(replay_id) >= _FEW else _LENGTHS[len(replay_id)],
        replay_id,
    )
    length = len(consumed)
    return b"\n%b%b" % (varint(length) if length >= _FEW else _LENGTHS[length], consumed)


def response_tail(replay_id: bytes, rpc_id: str, pending: int) -> bytes:
    """Return the fields of a `FetchResponse` besides its events.

    Args:
        replay_id: up to where everything was sent.
        rpc_id: of the call.
        pending: how many events are owed after this response.
    """
    said = field(2, replay_id) + field(3, rpc_id.encode())
    return said + b"\x20" + varint(pending) if pending else said
