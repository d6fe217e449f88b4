from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.replay import (
    MAX_VALUE,
    LowWaterMark,
    OffsetPosition,
    ReplayCorruptedError,
    ReplayError,
    ReplayExpiredError,
    ReplayFutureError,
    ReplayId,
    ReplayRecreatedError,
    ReplayWrongStreamError,
    StreamIdentity,
    TimePosition,
    check_retained,
    locate,
)

STREAM = "/event/Order_Placed__e"
ONE = StreamIdentity("cluster", "topic-2", 1, ("topic-1",))
FOUR = StreamIdentity("cluster", "topic-2", 4, ("topic-1",))
NOW_MS = 1_700_000_000_000

offsets = st.integers(0, MAX_VALUE - 1)


@given(offsets)
def test_one_partition_id_leads_back_to_its_offset(offset: int) -> None:
    replay_id = ONE.position_id([offset])
    assert len(replay_id) == 10
    assert int.from_bytes(replay_id[:8], "big") == offset < MAX_VALUE
    assert replay_id.tag != 0
    assert locate(ReplayId.parse(str(replay_id)), STREAM, ONE) == OffsetPosition((offset,))


@given(offsets, offsets)
def test_one_partition_ids_sort_like_their_offsets(a: int, b: int) -> None:
    assert (bytes(ONE.position_id([a])) < bytes(ONE.position_id([b]))) == (a < b)


@given(st.lists(st.integers(0, 2**62), min_size=4, max_size=4), st.integers(0, NOW_MS))
def test_vector_id_leads_back_to_all_its_offsets(vector: list[int], time_ms: int) -> None:
    replay_id = ReplayId.parse(str(FOUR.position_id(vector, time_ms)))
    assert locate(replay_id, STREAM, FOUR) == OffsetPosition(tuple(vector))
    assert locate(ReplayId(replay_id[:10]), STREAM, FOUR) == TimePosition(time_ms)


@pytest.mark.parametrize("cut", [8, 10])
def test_what_clients_cut_off_still_resumes(cut: int) -> None:
    for identity, expected in ((ONE, OffsetPosition((7,))), (FOUR, TimePosition(NOW_MS))):
        full = identity.position_id([7] * identity.partitions, NOW_MS)
        padded = full[:8].ljust(cut, b"\0")
        assert locate(ReplayId.parse(padded), STREAM, identity) == expected


def test_an_id_from_before_the_stream_grew_stays_exact() -> None:
    old = ONE.position_id([41])
    assert locate(old, STREAM, FOUR) == OffsetPosition((41, 0, 0, 0))
    assert locate(ReplayId.parse(old[:8]), STREAM, FOUR) == OffsetPosition((41, 0, 0, 0))
    two = StreamIdentity("cluster", "topic-2", 2).position_id([5, 6], NOW_MS)
    assert locate(two, STREAM, FOUR) == OffsetPosition((5, 6, 0, 0))


def test_zero_is_before_the_first_event() -> None:
    assert locate(ReplayId.parse(bytes(8)), STREAM, ONE) == OffsetPosition((0,))
    assert locate(ReplayId.parse(bytes(10)), STREAM, FOUR) == OffsetPosition((0, 0, 0, 0))


def test_padding_of_the_text_is_accepted() -> None:
    text = base64.urlsafe_b64encode(ONE.position_id([3])).decode()
    assert text.endswith("=")
    assert ReplayId.parse(text) == ReplayId.parse(text.rstrip("=")) == ONE.position_id([3])


def test_ids_of_a_former_topic_are_recreated() -> None:
    former = StreamIdentity("cluster", "topic-1", 1)
    with pytest.raises(ReplayRecreatedError, match="created again") as caught:
        locate(former.position_id([3]), STREAM, ONE)
    assert (caught.value.stream, caught.value.replay_id) == (STREAM, former.position_id([3]))


@pytest.mark.parametrize("other", [("cluster", "topic-9"), ("elsewhere", "topic-2")])
def test_ids_of_another_stream_or_cluster_are_refused(other: tuple[str, str]) -> None:
    with pytest.raises(ReplayWrongStreamError):
        locate(StreamIdentity(*other, 1).position_id([3]), STREAM, ONE)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"short",
        bytes(9),
        bytes(11),
        b"\xff" * 10,
        MAX_VALUE.to_bytes(8, "big"),
        bytes(10 * 1024 * 1024),
        "not base64!",
        "ä",
        "A" * 10_000_000,
        "",
        bytes(10) + b"\x80\x80",
        bytes(10) + b"\xff" * 12,
    ],
    ids=lambda value: repr(value)[:24],
)
def test_nonsense_is_corrupted(value: bytes | str) -> None:
    with pytest.raises(ReplayCorruptedError, match="not a replay ID") as caught:
        locate(ReplayId.parse(value, STREAM), STREAM, ONE)
    assert len(str(caught.value)) < 300


def test_a_vector_longer_than_the_stream_is_corrupted() -> None:
    too_many = StreamIdentity("cluster", "topic-2", 5).position_id([1] * 5, NOW_MS)
    with pytest.raises(ReplayCorruptedError, match="4 partitions"):
        locate(too_many, STREAM, FOUR)


@given(st.one_of(st.binary(max_size=40), st.text(max_size=40)))
def test_any_input_is_a_position_or_a_verdict(value: bytes | str) -> None:
    for identity in (ONE, FOUR):
        outcome: object
        try:
            outcome = locate(ReplayId.parse(value, STREAM), STREAM, identity)
        except ReplayError as verdict:
            outcome = verdict
        assert isinstance(outcome, OffsetPosition | TimePosition | ReplayError)
        if isinstance(outcome, ReplayError):
            assert outcome.stream == STREAM


def test_expired_says_how_many_and_from_where() -> None:
    with pytest.raises(ReplayExpiredError) as caught:
        check_retained(
            OffsetPosition((5, 0, 9, 4)), None, STREAM, FOUR, [(7, 9), (3, 3), (2, 9), (0, 4)]
        )
    assert caught.value.lost == 5
    resumed = locate(caught.value.earliest, STREAM, FOUR)
    assert resumed == OffsetPosition((7, 3, 9, 4))


def test_the_end_is_not_the_future_and_one_more_is() -> None:
    check_retained(OffsetPosition((9,)), None, STREAM, ONE, [(2, 9)])
    with pytest.raises(ReplayFutureError, match="1 events past the end"):
        check_retained(OffsetPosition((10,)), None, STREAM, ONE, [(2, 9)])


def test_tags_differ_between_streams_clusters_and_meanings() -> None:
    identities = [StreamIdentity(c, f"t{t}", 1) for c in ("a", "b") for t in range(20)]
    tags = {tag for identity in identities for tag in identity.tags}
    assert len(tags) > 75
    assert 0 not in tags


def test_low_water_waits_for_the_slowest_partition_that_lags() -> None:
    mark = LowWaterMark(2, start_ms=NOW_MS)
    mark.deliver(0, NOW_MS + 100_000)
    assert mark.time_ms == NOW_MS
    mark.deliver(1, NOW_MS + 50_000)
    assert mark.time_ms == NOW_MS + 50_000 - LowWaterMark.MARGIN_MS
    mark.reach_end(1)
    assert mark.time_ms == NOW_MS + 100_000 - LowWaterMark.MARGIN_MS
    mark.deliver(1, NOW_MS + 60_000)
    assert mark.time_ms == NOW_MS + 100_000 - LowWaterMark.MARGIN_MS


@given(
    st.lists(
        st.one_of(st.tuples(st.integers(0, 2), st.integers(1, 10**6)), st.tuples(st.integers(0, 2)))
    )
)
def test_low_water_never_decreases(steps: list[tuple[int, ...]]) -> None:
    mark = LowWaterMark(3)
    before = mark.time_ms
    for step in steps:
        if len(step) == 2:
            mark.deliver(step[0], step[1])
        else:
            mark.reach_end(step[0])
        assert mark.time_ms >= before
        before = mark.time_ms
