from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from platform_events.channels.slots import Slots
from tests.support import wait_until


def nothing() -> None:
    pass


class Taker(threading.Thread):
    """Takes a slot, says so, and holds it until told."""

    def __init__(self, slots: Slots, log: list[str], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._slots, self._log = slots, log
        self.release = threading.Event()
        self.start()

    def run(self) -> None:
        with self._slots.taken(nothing):
            self._log.append(self.name)
            self.release.wait()


def waiting(slots: Slots, count: int) -> Callable[[], bool]:
    return lambda: len(slots._waiting) == count


def end(*takers: Taker) -> None:
    for taker in takers:
        taker.release.set()
    for taker in takers:
        taker.join(20)
        assert not taker.is_alive()


def test_no_more_than_there_are_and_who_waits_longest_is_next() -> None:
    slots, log = Slots(2), list[str]()
    takers = []
    for number in range(5):
        takers.append(Taker(slots, log, str(number)))
        wait_until(waiting(slots, max(number - 1, 0)))
        wait_until(lambda: len(log) == min(len(takers), 2))
    for number in range(3):
        end(takers[number])
        wait_until(lambda number=number: len(log) == 3 + number)  # type: ignore[misc]
    assert log == ["0", "1", "2", "3", "4"]
    end(*takers)
    with slots.taken(nothing), slots.taken(nothing):
        assert slots._free == 0


def test_whether_somebody_waits_is_known() -> None:
    slots, log = Slots(1), list[str]()
    first = Taker(slots, log, "first")
    wait_until(lambda: log == ["first"])
    assert not slots.is_wanted
    second = Taker(slots, log, "second")
    wait_until(lambda: slots.is_wanted)
    end(first)
    wait_until(lambda: log == ["first", "second"])
    assert not slots.is_wanted
    end(second)


def test_a_slot_is_free_again_after_an_exception() -> None:
    slots = Slots(1)
    with pytest.raises(LookupError), slots.taken(nothing):
        raise LookupError
    assert slots._free == 1


def test_who_gives_up_waiting_leaves_the_queue() -> None:
    slots, log = Slots(1), list[str]()

    def give_up() -> None:
        raise LookupError

    holder = Taker(slots, log, "holder")
    wait_until(lambda: log == ["holder"])
    with pytest.raises(LookupError), slots.taken(give_up):
        pytest.fail("there was no slot")
    assert not slots._waiting
    end(holder)
    assert slots._free == 1
