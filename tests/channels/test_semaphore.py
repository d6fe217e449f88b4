from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from platform_events.channels.semaphore import FairSemaphore
from tests.support import wait_until


def nothing() -> None:
    pass


class Taker(threading.Thread):
    """Acquires the semaphore, says so, and holds it until told."""

    def __init__(self, semaphore: FairSemaphore, log: list[str], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._semaphore, self._log = semaphore, log
        self.release = threading.Event()
        self.start()

    def run(self) -> None:
        with self._semaphore.acquired(nothing):
            self._log.append(self.name)
            self.release.wait()


def waiting(semaphore: FairSemaphore, count: int) -> Callable[[], bool]:
    return lambda: len(semaphore._waiting) == count


def end(*takers: Taker) -> None:
    for taker in takers:
        taker.release.set()
    for taker in takers:
        taker.join(20)
        assert not taker.is_alive()


def test_no_more_than_there_are_and_who_waits_longest_is_next() -> None:
    semaphore, log = FairSemaphore(2), list[str]()
    takers = []
    for number in range(5):
        takers.append(Taker(semaphore, log, str(number)))
        wait_until(waiting(semaphore, max(number - 1, 0)))
        wait_until(lambda: len(log) == min(len(takers), 2))
    for number in range(3):
        end(takers[number])
        wait_until(lambda number=number: len(log) == 3 + number)  # type: ignore[misc]
    assert log == ["0", "1", "2", "3", "4"]
    end(*takers)
    with semaphore.acquired(nothing), semaphore.acquired(nothing):
        assert semaphore._free == 0


def test_whether_somebody_waits_is_known() -> None:
    semaphore, log = FairSemaphore(1), list[str]()
    first = Taker(semaphore, log, "first")
    wait_until(lambda: log == ["first"])
    assert not semaphore.is_contended
    second = Taker(semaphore, log, "second")
    wait_until(lambda: semaphore.is_contended)
    end(first)
    wait_until(lambda: log == ["first", "second"])
    assert not semaphore.is_contended
    end(second)


def test_it_is_free_again_after_an_exception() -> None:
    semaphore = FairSemaphore(1)
    with pytest.raises(LookupError), semaphore.acquired(nothing):
        raise LookupError
    assert semaphore._free == 1


def test_who_gives_up_waiting_leaves_the_queue() -> None:
    semaphore, log = FairSemaphore(1), list[str]()

    def give_up() -> None:
        raise LookupError

    holder = Taker(semaphore, log, "holder")
    wait_until(lambda: log == ["holder"])
    with pytest.raises(LookupError), semaphore.acquired(give_up):
        pytest.fail("it was held")
    assert not semaphore._waiting
    end(holder)
    assert semaphore._free == 1
