"""Tasks of partitions: rounds, pauses, and what becomes of those whose partition is lost.

Threads are real. What a task does is decided step by step through queues, and what it did not do
is known by what it did instead: no test takes time for an answer.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import pytest

from platform_events import partition_tasks
from platform_events.partition_tasks import PartitionTask, PartitionTasks, Stopped
from tests.support import PATIENCE

KEY, OTHER = ("topic", 0), ("topic", 1)


class Said:
    """What the group says, for ever."""

    def __init__(self, *, is_ours: bool | None = True) -> None:
        self._is_ours = is_ours

    def wait(self, timeout: float) -> bool | None:
        return self._is_ours


class Scripted:
    """Work that says in `log` what it does, and does the next of `steps` in each round."""

    def __init__(self) -> None:
        self.log: SimpleQueue[str] = SimpleQueue()
        self.steps: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.answers: Iterator[Said] = iter([])
        """The first ones; yes after that."""
        self.is_worth_a_pause = True
        self.woken = threading.Event()
        self.task = PartitionTask("scripted", self)

    def claim(self) -> Said:
        self.log.put("claim")
        return next(self.answers, Said())

    def run(self) -> None:
        self.log.put("run")
        self.steps.get()()

    def failed(self, error: Exception) -> bool:
        self.log.put(f"failed: {error}")
        return self.is_worth_a_pause

    def wake(self) -> None:
        self.woken.set()

    def until_stopped(self) -> None:
        """Work until the task is stopped."""
        self.woken.wait(PATIENCE)
        self.woken.clear()
        self.task.check()

    def expect(self, *what: str) -> None:
        for one in what:
            assert self.log.get(timeout=PATIENCE) == one

    def end(self) -> None:
        """Stop, and see that the thread ends."""
        self.task.stop()
        self.steps.put(self.task.check)
        assert self.task.join(PATIENCE)


class Hanging(Scripted):
    """Work that takes long to end: until `let_go` is set, stopped or not."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def run(self) -> None:
        self.log.put("run")
        assert self.let_go.wait(PATIENCE)
        self.task.check()


@pytest.fixture
def work() -> Iterator[Scripted]:
    work = Scripted()
    work.task.start()
    yield work
    work.end()


def fail() -> None:
    raise LookupError("no")


def waits(monkeypatch: pytest.MonkeyPatch, work: Scripted) -> list[float]:
    """Let pauses end at once; return their lengths as they come."""
    found: list[float] = []

    def wait(seconds: float) -> bool:
        found.append(seconds)
        return False

    monkeypatch.setattr(work.task._nudge, "wait", wait)
    return found


class TestOneTask:
    def test_it_claims_before_each_round(self, work: Scripted) -> None:
        for _ in range(3):
            work.expect("claim", "run")
            work.steps.put(lambda: None)
        work.expect("claim", "run")

    def test_it_does_not_work_on_what_is_not_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        work = Scripted()
        pauses = waits(monkeypatch, work)
        work.answers = iter([Said(is_ours=False), Said(is_ours=False)])
        work.task.start()
        work.expect("claim", "claim", "claim", "run")
        assert pauses == [partition_tasks.FIRST_PAUSE] * 2
        work.end()

    def test_it_can_be_stopped_while_the_group_does_not_answer(self) -> None:
        work = Scripted()
        work.answers = iter([Said(is_ours=None)])
        work.task.start()
        work.expect("claim")
        work.task.stop()
        assert work.task.join(PATIENCE)

    def test_it_pauses_longer_after_each_failure_until_it_succeeds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work = Scripted()
        pauses = waits(monkeypatch, work)

        def succeed_and_fail() -> None:
            work.task.succeed()
            fail()

        for step in [*[fail] * 8, succeed_and_fail, fail]:
            work.steps.put(step)
        work.task.start()
        for _ in range(10):
            work.expect("claim", "run", "failed: no")
        work.expect("claim", "run")
        assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 0.5, 1]
        work.end()

    def test_work_can_say_that_there_is_no_need_to_pause(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work = Scripted()
        pauses = waits(monkeypatch, work)
        work.is_worth_a_pause = False
        work.steps.put(fail)
        work.task.start()
        work.expect("claim", "run", "failed: no", "claim", "run")
        assert pauses == []
        work.end()

    @pytest.mark.parametrize("is_stopped", [False, True])
    def test_a_pause_is_cut_short(self, monkeypatch: pytest.MonkeyPatch, is_stopped: bool) -> None:
        """Otherwise this would take a time that no test is given."""
        monkeypatch.setattr(partition_tasks, "FIRST_PAUSE", math.inf)
        monkeypatch.setattr(partition_tasks, "LONGEST_PAUSE", threading.TIMEOUT_MAX)
        work = Scripted()
        work.steps.put(fail)
        work.task.start()
        work.expect("claim", "run", "failed: no")
        if is_stopped:
            work.task.stop()
            assert work.task.join(PATIENCE)
        else:
            work.task.wake()
            work.expect("claim", "run")
            work.end()

    def test_stopping_wakes_the_work_which_ends_by_itself(self) -> None:
        work = Scripted()
        work.steps.put(work.until_stopped)
        work.task.start()
        work.expect("claim", "run")
        assert not work.task.join(0)
        work.task.stop()
        assert work.task.join(PATIENCE)
        assert work.log.empty()

    def test_what_must_not_happen_after_stopping_is_over_when_that_returns(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        work, lock = Scripted(), WatchedLock()
        monkeypatch.setattr(work.task, "_lock", lock)
        with work.task.unless_stopped():
            lock.is_wanted.clear()
            stopper = threading.Thread(target=work.task.stop)
            stopper.start()
            assert lock.is_wanted.wait(PATIENCE)
            work.task.check()
        stopper.join(PATIENCE)
        with pytest.raises(Stopped), work.task.unless_stopped():
            pytest.fail("it was stopped")
        with pytest.raises(Stopped):
            work.task.pause()


class WatchedLock:
    """A lock that says when somebody wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_wanted = threading.Event()

    def __enter__(self) -> None:
        self.is_wanted.set()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.fixture
def tasks() -> PartitionTasks[Hanging]:
    return PartitionTasks()


def gain(tasks: PartitionTasks[Hanging], key: tuple[str, int] = KEY) -> Hanging:
    work = Hanging()
    tasks.gain(key, work)
    return work


class TestTasksOfAProcess:
    def test_losing_a_partition_waits_for_nothing(self, tasks: PartitionTasks[Hanging]) -> None:
        work = gain(tasks)
        work.expect("claim", "run")
        tasks.lose(KEY, math.inf)
        assert tasks.works() == {}
        tasks.tend()
        assert not tasks.await_ends(0)
        work.let_go.set()
        assert tasks.await_ends(PATIENCE)
        assert work.task.join(0)

    def test_what_comes_back_is_worked_on_when_the_old_task_has_ended(
        self, tasks: PartitionTasks[Hanging]
    ) -> None:
        old, other = gain(tasks), gain(tasks, OTHER)
        old.expect("claim", "run")
        tasks.lose(KEY, math.inf)
        new = gain(tasks)
        tasks.tend()
        # Others do not wait for that.
        other.expect("claim", "run")
        assert tasks.works() == {KEY: new, OTHER: other}
        assert not new.task.is_started
        old.let_go.set()
        assert tasks.await_ends(PATIENCE)
        assert old.task.join(0)
        tasks.tend()
        new.expect("claim", "run")
        for work in (new, other):
            work.let_go.set()
        tasks.close(math.inf)
        assert tasks.await_ends(PATIENCE)

    def test_a_task_that_hangs_is_not_waited_for_for_ever(
        self, tasks: PartitionTasks[Hanging], caplog: pytest.LogCaptureFixture
    ) -> None:
        old = gain(tasks)
        old.expect("claim", "run")
        tasks.lose(KEY, 0)
        new = gain(tasks)
        with caplog.at_level(logging.WARNING, "platform_events"):
            tasks.tend()
        assert [one.message for one in caplog.records] == [
            "scripted does not end, and is not waited for any more"
        ]
        new.expect("claim", "run")
        assert not old.task.join(0)
        # And it says nothing any more, whenever it wakes up.
        with pytest.raises(Stopped), old.task.unless_stopped():
            pytest.fail("it was stopped")
        tasks.close(math.inf)
        for work in (old, new):
            work.let_go.set()
            assert work.task.join(PATIENCE)

    def test_what_is_lost_before_it_began_never_begins(
        self, tasks: PartitionTasks[Hanging]
    ) -> None:
        old = gain(tasks)
        old.expect("claim", "run")
        tasks.lose(KEY, math.inf)
        never = gain(tasks)
        tasks.lose(KEY, math.inf)
        new = gain(tasks)
        for work in (old, new):
            work.let_go.set()
        assert tasks.await_ends(PATIENCE)
        tasks.tend()
        new.expect("claim", "run")
        assert not never.task.is_started
        tasks.close(math.inf)
        assert tasks.await_ends(PATIENCE)

    def test_nothing_begins_after_closing(self, tasks: PartitionTasks[Hanging]) -> None:
        works = [gain(tasks), gain(tasks, OTHER)]
        for work in works:
            work.expect("claim", "run")
            work.let_go.set()
        tasks.close(math.inf)
        late = gain(tasks)
        tasks.tend()
        assert tasks.await_ends(PATIENCE)
        assert all(work.task.join(0) for work in works)
        assert (tasks.works(), late.task.is_started) == ({}, False)

    def test_losing_what_is_not_there_does_nothing(self, tasks: PartitionTasks[Hanging]) -> None:
        tasks.lose(KEY, math.inf)
        assert tasks.await_ends(0)
