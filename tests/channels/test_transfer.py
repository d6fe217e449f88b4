"""Transactions as such: what goes into one, and what is learnt from one that is refused."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.catalog.positions import Checkpoint, Place, Position
from platform_events.catalog.state import Feed
from platform_events.channels.isolation import Isolation
from platform_events.channels.members import Source, member_writers
from platform_events.channels.transfer import Destination, FedPartition, Transfer
from platform_events.definitions.schema import Schema
from platform_events.envelope import Stamp
from platform_events.errors import CatalogCorruptError, RecordRejectedError, UnknownSchemaError
from platform_events.kafka.offsets import Committed
from platform_events.payloads.codec import PayloadWalk
from platform_events.replay import StreamIdentity

HEADER = b"\x01" + b"s" * 16
HEADERS = [("ce_id", b"1"), ("__value_schema_id", HEADER), ("ce_type", b"A__e")]


class Stored:
    """A record as the client library gives it."""

    def __init__(self, offset: int, headers: Any = HEADERS) -> None:
        self._offset = offset
        self._headers = headers

    def offset(self) -> int:
        return self._offset

    def headers(self) -> Any:
        return self._headers

    def value(self) -> bytes:
        return b"%d" % self._offset

    def key(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_000 + self._offset


class Broker:
    """A producer whose broker refuses transactions with some bodies, and keeps the others."""

    def __init__(self, *refused: bytes) -> None:
        self.refused = refused
        self.headers: list[Any] = []
        self.committed: list[tuple[list[tuple[str, bytes]], dict[tuple[str, int], int]]] = []
        self._records: list[tuple[str, bytes]] = []
        self._positions: dict[tuple[str, int], int] = {}

    def begin(self) -> None:
        self._records, self._positions = [], {}

    def produce(self, topic: str, value: bytes | None, *rest: Any) -> bool:
        self._records.append((topic, value or b""))
        self.headers.append(rest[-1])
        return True

    def send_offsets(self, offsets: Sequence[Committed], _: Any) -> None:
        self._positions = {(one.topic, one.partition): one.offset for one in offsets}

    def commit(self) -> None:
        if any(body in self.refused for topic, body in self._records if topic == "chn"):
            raise RecordRejectedError("too large", "MSG_SIZE_TOO_LARGE")
        self.committed.append((self._records, self._positions))

    def abort(self) -> None:
        pass

    def serve(self) -> None:
        pass

    @property
    def bodies(self) -> list[bytes]:
        return [body for records, _ in self.committed for topic, body in records if topic == "chn"]

    @property
    def buried(self) -> int:
        return sum(topic == "dlq" for records, _ in self.committed for topic, _ in records)


WALK = PayloadWalk({"type": "record", "name": "A__e", "fields": [{"name": "n", "type": "int"}]})


def source_of(event: str, offset: int = 0, catalog: Any = None) -> Source:
    writers = member_writers(Feed(event, "", 1, "id", (0,)), catalog)
    writers.known[HEADER] = (b"A__e", lambda body: int(body) % 5 != 0, lambda: WALK)
    stamp = Stamp(event, 0, 1, StreamIdentity("cluster", "id", 1))
    return Source(Place(event, 0), event, Position(offset, Checkpoint(1, 0)), writers, stamp)


def transfer_of(broker: Broker, isolation: Isolation, *sources: Source) -> Transfer:
    place = Destination("All__chn", "chn", 0, "dlq", None)
    fed = FedPartition(place, Checkpoint(1, 0), sources, [])
    return Transfer(broker, fed, isolation)  # type: ignore[arg-type]


def records(*offsets: int) -> Any:
    return [Stored(offset) for offset in offsets]


def test_what_was_judged_before_is_passed_over() -> None:
    broker, source = Broker(), source_of("A__e", 3)
    transfer = transfer_of(broker, Isolation(), source)
    transfer.forward(source, records(1, 2, 3, 4))
    transfer.forward(source, records(2, 3, 4, 5, 6))
    transfer.commit()
    assert broker.bodies == [b"3", b"4", b"6"]
    assert (source.passed, source.filtered, source.offset) == (3, 1, 7)


class ForeignCatalog:
    """A catalog that knows no schema, and counts how often it is asked."""

    is_read = True
    asked = 0

    def cached(self, name: str) -> str:
        return name

    def schema(self, schema_id: str, since: float, *, wait: bool) -> Schema:
        assert wait == (self.asked == 0)
        self.asked += 1
        raise UnknownSchemaError(schema_id, "never applied")


def test_an_unknown_schema_is_asked_for_once_until_it_may_have_been_applied() -> None:
    broker, catalog = Broker(), ForeignCatalog()
    source = source_of("A__e", catalog=catalog)
    source.writers.known.clear()
    transfer = transfer_of(broker, Isolation(), source)
    transfer.forward(source, records(*range(5)))
    assert catalog.asked == 1
    transfer.take()
    transfer.forward(source, records(5, 6))
    transfer.commit()
    assert catalog.asked == 2
    assert (broker.bodies, broker.buried, source.dead_lettered) == ([], 7, 7)


class DamagedCatalog:
    """A catalog whose schemas other software damaged."""

    def schema(self, schema_id: str, since: float, *, wait: bool) -> Schema:
        return Schema.from_catalog(schema_id, {"type": "record", "name": "A__e", "fields": 7})


def test_only_bodies_that_other_software_encoded_need_their_schema() -> None:
    broker, source = Broker(), source_of("A__e", catalog=DamagedCatalog())
    source.writers.known.clear()
    transfer = transfer_of(broker, Isolation(), source)
    transfer.forward(source, records(1, 2))
    transfer.commit()
    assert broker.bodies == [b"1", b"2"]
    foreign: Any = [Stored(3, HEADERS[::-1])]
    with pytest.raises(CatalogCorruptError, match="apply the definition again"):
        transfer.forward(source, foreign)


@given(
    st.permutations([*HEADERS, ("mine", b"x"), ("ce_source", b"y")]),
    st.sets(st.sampled_from(["ce_id", "ce_type"])),
    st.sampled_from([None, b""]),
)
def test_what_other_software_left_out_is_added_whatever_the_order_of_headers(
    headers: list[tuple[str, bytes]], missing: set[str], emptied: bytes | None
) -> None:
    """A header without a value is as good as none."""
    broker, source = Broker(), source_of("A__e")
    stored: list[tuple[str, bytes | None]] = [
        (name, emptied if name in missing else value)
        for name, value in headers
        if name not in missing or emptied is not None
    ]
    transfer_of(broker, Isolation(), source).forward(source, [Stored(1, stored)])  # type: ignore[list-item]
    (routed,) = broker.headers
    first = dict(reversed(routed))
    assert first["ce_type"] == b"A__e"
    derived = str(uuid.uuid5(uuid.NAMESPACE_OID, "cluster/id/0/1")).encode()
    assert first["ce_id"] == (derived if "ce_id" in missing else b"1")
    assert routed[-1][0] == "ce_origin"


def test_records_and_the_positions_after_them_are_one_transaction() -> None:
    broker, first, second = Broker(), source_of("A__e"), source_of("B__e", 7)
    transfer = transfer_of(broker, Isolation(), first, second)
    transfer.forward(first, records(1, 2))
    transfer.commit()
    transfer.forward(second, records(10))
    assert not transfer.has_records
    transfer.commit()
    (_, moved), (routed, filtered) = broker.committed
    assert moved == {("A__e", 0): 3}
    assert (routed, filtered) == ([], {("B__e", 0): 11})
    transfer.commit()
    assert len(broker.committed) == 2


@pytest.mark.parametrize("refused", [(), (b"3",), (b"1", b"2"), (b"9",), (b"4", b"6", b"9")])
@pytest.mark.parametrize("first", [3, 7, 12])
def test_refused_records_are_found_whatever_came_first(
    refused: tuple[bytes, ...], first: int
) -> None:
    """The first transaction has a part of them; each try begins from what is committed."""
    broker, isolation = Broker(*refused), Isolation()
    offset, tries = 0, 0
    done = False
    while not done:
        tries += 1
        assert tries < 20
        source = source_of("A__e", offset)
        transfer = transfer_of(broker, isolation, source)
        try:
            transfer.forward(source, records(*range(first)))
            transfer.commit()
            transfer.forward(source, records(*range(12)))
            transfer.commit()
            done = True
        except RecordRejectedError:
            transfer.abort()
        committed = [positions.get(("A__e", 0), 0) for _, positions in broker.committed]
        offset = max([0, *committed])
    passed = [
        b"%d" % number for number in range(12) if number % 5 and b"%d" % number not in refused
    ]
    assert broker.bodies == passed
    assert broker.buried == len(refused)
