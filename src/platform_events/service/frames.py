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
    id_size, size, replay_size = len(event_id), len(payload), len(replay_id)
    of_id = _LENGTHS[id_size] if id_size < _FEW else varint(id_size)
    of_payload = _LENGTHS[size] if size < _FEW else varint(size)
    of_replay_id = _LENGTHS[replay_size] if replay_size < _FEW else varint(replay_size)
    # Two tags each, and what was counted before.
    size += 2 + len(of_id) + id_size + len(schema) + len(of_payload) + len(headers)
    of_event = _LENGTHS[size] if size < _FEW else varint(size)
    size += 2 + len(of_event) + len(of_replay_id) + replay_size
    return b"\n%b\n%b\n%b%b%b\x1a%b%b%b\x12%b%b" % (
        _LENGTHS[size] if size < _FEW else varint(size),
        of_event,
        of_id,
        event_id,
        schema,
        of_payload,
        payload,
        headers,
        of_replay_id,
        replay_id,
    )


def response_tail(replay_id: bytes, rpc_id: str, pending: int) -> bytes:
    """Return the fields of a `FetchResponse` besides its events.

    Args:
        replay_id: up to where everything was sent.
        rpc_id: of the call.
        pending: how many events are owed after this response.
    """
    said = field(2, replay_id) + field(3, rpc_id.encode())
    return said + b"\x20" + varint(pending) if pending else said
