"""Responses written by hand are what protobuf reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from platform_events.service.frames import (
    event_field,
    header_field,
    response_tail,
    schema_field,
    varint,
)
from platform_events.service.messages import (
    ConsumerEvent,
    EventHeader,
    FetchResponse,
    ProducerEvent,
)

EVENTS = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text("Az09_-", min_size=22, max_size=22),
    st.one_of(st.binary(max_size=300), st.binary(min_size=1_000, max_size=1_100)),
    st.lists(st.tuples(st.text("ab-", max_size=5), st.binary(max_size=200)), max_size=3),
    st.binary(max_size=30),
)


def expected(event: tuple[str, str, bytes, list[tuple[str, bytes]], bytes]) -> ConsumerEvent:
    event_id, schema_id, payload, headers, replay_id = event
    return ConsumerEvent(
        event=ProducerEvent(
            id=event_id,
            schema_id=schema_id,
            payload=payload,
            headers=[EventHeader(key=key, value=value) for key, value in headers],
        ),
        replay_id=replay_id,
    )


@given(
    st.lists(EVENTS, max_size=5),
    st.binary(max_size=40),
    st.text("0a-", max_size=36),
    st.integers(0, 2**31 - 1),
)
def test_a_response_of_pieces_is_read_whole(
    events: list[tuple[str, str, bytes, list[tuple[str, bytes]], bytes]],
    replay_id: bytes,
    rpc_id: str,
    pending: int,
) -> None:
    encoded = [
        event_field(
            event_id.encode(),
            schema_field(schema_id),
            payload,
            b"".join(header_field(*one) for one in headers),
            event_replay_id,
        )
        for event_id, schema_id, payload, headers, event_replay_id in events
    ]
    response = FetchResponse.FromString(
        b"".join(encoded) + response_tail(replay_id, rpc_id, pending)
    )
    assert response == FetchResponse(
        events=[expected(event) for event in events],
        latest_replay_id=replay_id,
        rpc_id=rpc_id,
        pending_num_requested=pending,
    )


@given(st.integers(0, 2**63 - 1))
def test_a_number_is_what_protobuf_writes(number: int) -> None:
    written = varint(number)
    read = sum((byte & 0x7F) << 7 * at for at, byte in enumerate(written))
    assert read == number
    assert all(byte & 0x80 for byte in written[:-1])
    assert written[-1] < 0x80


def test_a_header_without_a_value_is_one_with_an_empty_one() -> None:
    event = ProducerEvent.FromString(header_field("a", None))
    assert event == ProducerEvent(headers=[EventHeader(key="a")])
