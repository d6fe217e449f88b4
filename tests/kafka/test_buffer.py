"""Who may have how much under way: nobody is kept from sending by others, and memory is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from platform_events.kafka.buffer import Buffer, Share

SIZE = 1_000_000
STEPS = st.lists(st.tuples(st.integers(0, 5), st.integers(-400_000, 400_000)), max_size=60)


def send(buffer: Buffer, share: Share, cost: int) -> bool:
    """Send as an outbox does, which asks the buffer at its limit; return whether there is room."""
    if share.under_way + cost > share.limit:
        buffer.grant(share)
    if share.under_way + cost > share.limit:
        return False
    share.sent_cost += cost
    return True


def fill(buffer: Buffer, share: Share, piece: int = 1_000) -> int:
    while send(buffer, share, piece):
        pass
    return share.under_way


def shares(buffer: Buffer, number: int) -> list[Share]:
    made = [Share() for _ in range(number)]
    for share in made:
        buffer.join(share)
    return made


def test_alone_a_sender_has_all_of_it() -> None:
    buffer = Buffer(SIZE)
    (only,) = shares(buffer, 1)
    assert fill(buffer, only) == SIZE
    assert not buffer.is_settled


def test_a_sender_has_what_others_do_not_use() -> None:
    buffer = Buffer(SIZE)
    first, *_ = shares(buffer, 100)
    assert fill(buffer, first) == SIZE


def test_a_sender_that_has_filled_it_keeps_no_other_from_its_part() -> None:
    buffer = Buffer(SIZE)
    first, *others = shares(buffer, 10)
    fill(buffer, first)
    assert [fill(buffer, other) for other in others] == [SIZE // 10] * 9


def test_who_has_too_much_gets_nothing_until_it_is_at_an_equal_part() -> None:
    buffer = Buffer(SIZE)
    first, second = shares(buffer, 2)
    fill(buffer, first)
    fill(buffer, second)
    first.settled_cost += SIZE // 4
    assert not send(buffer, first, 1_000)
    first.settled_cost += SIZE // 2
    assert fill(buffer, first) == SIZE // 2
    assert fill(buffer, second) == SIZE // 2


def test_what_a_closed_sender_has_under_way_counts_until_it_is_settled() -> None:
    buffer = Buffer(SIZE)
    first, second = shares(buffer, 2)
    fill(buffer, first, 300_000)
    buffer.leave(first)
    assert not buffer.is_settled
    assert fill(buffer, second) == SIZE
    first.settled_cost = first.sent_cost
    second.settled_cost = second.sent_cost
    assert buffer.is_settled


@given(STEPS)
def test_whatever_others_do_a_sender_has_its_part_and_all_have_less_than_twice_the_size(
    steps: list[tuple[int, int]],
) -> None:
    buffer = Buffer(SIZE)
    senders = shares(buffer, 6)
    assured = SIZE // 6
    for number, bytes_ in steps:
        share = senders[number]
        if bytes_ < 0:
            share.settled_cost += min(-bytes_, share.under_way)
        else:
            fits = share.under_way + bytes_ <= assured
            assert send(buffer, share, bytes_) or not fits
        assert sum(one.under_way for one in senders) < 2 * SIZE


def test_who_had_everything_once_does_not_have_it_again_beside_others() -> None:
    buffer = Buffer(SIZE)
    senders = shares(buffer, 6)
    for one in senders[:3]:
        assert send(buffer, one, SIZE * 2 // 5)
        one.settled_cost = one.sent_cost
    for one in senders[:3]:
        send(buffer, one, SIZE * 4 // 5)
    assert sum(one.under_way for one in senders) < 2 * SIZE
