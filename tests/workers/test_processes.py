"""Several processes of one worker: started, watched, replaced and ended together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from platform_events import process_health
from platform_events.workers.processes import Processes
from tests.support import is_alive, wait_until

CHILD = """
import json, os, sys, threading, time
from pathlib import Path
from platform_events.workers.lifeline import Parent, Report

number, lifeline, reports = map(int, sys.argv[1:])
orders = Path("orders")

def look():
    said = {name: json.loads(path.read_text())
            for name in ("obstacle", "loop_age", "is_loaded", "metrics")
            if (path := orders / f"{number}.{name}").exists()}
    return Report(**({"obstacle": "", "is_loaded": True} | said))

stop = threading.Event()
parent = Parent(lifeline, reports, look)
parent.ends(stop)
(orders / f"{number}.pid").write_text(str(os.getpid()))
exit_with = orders / f"{number}.exit"
while not stop.wait(0.02) and not exit_with.exists():
    pass
while (orders / f"{number}.busy").exists():
    time.sleep(0.02)
parent.tell()
sys.exit(int(exit_with.read_text()) if exit_with.exists() else 0)
"""


class Adding:
    """Keeps what processes say that they count."""

    def __init__(self) -> None:
        self.taken: dict[int, str] = {}
        self.retired: list[tuple[int, str]] = []

    def take(self, process: int, text: str) -> None:
        self.taken[process] = text

    def retire(self, process: int) -> None:
        self.retired.append((process, self.taken.pop(process, "")))


class World:
    """Processes that a thread runs, and what they are told through files."""

    def __init__(self, number: int) -> None:
        self.metrics = Adding()
        self.processes = Processes(number, self._start, self.metrics)
        self.stop = threading.Event()
        self.status: int | None = None
        self.refusals = 0
        """How often a process cannot be started from now on."""
        self._thread = threading.Thread(target=self._run)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> int | None:
        """Return the status, once all processes have ended."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.status

    def say(self, number: int, name: str, text: str = "") -> None:
        path = Path(f"orders/{number}.{name}")
        (new := path.with_suffix(".new")).write_text(text)
        new.rename(path)

    def unsay(self, number: int, name: str) -> None:
        Path(f"orders/{number}.{name}").unlink()

    def pid(self, number: int) -> int:
        """Return the PID of a process that has begun."""
        path = Path(f"orders/{number}.pid")
        wait_until(lambda: path.exists() and bool(path.read_text()))
        return int(path.read_text())

    def has_begun(self, number: int) -> bool:
        return Path(f"orders/{number}.pid").exists()

    def _run(self) -> None:
        self.status = self.processes.run(self.stop)

    def _start(self, number: int, lifeline: int, reports: int) -> subprocess.Popen[bytes]:
        if self.refusals:
            self.refusals -= 1
            raise BlockingIOError("no more processes")
        arguments = map(str, (number, lifeline, reports))
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments], pass_fds=(lifeline, reports)
        )


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], World]]:
    monkeypatch.chdir(tmp_path)
    Path("orders").mkdir()
    worlds: list[World] = []

    def make(number: int) -> World:
        worlds.append(World(number))
        return worlds[-1]

    yield make
    for world in worlds:
        for path in Path("orders").glob("*.busy"):
            path.unlink()
        world.stop.set()
        world.end()


def test_they_are_ready_when_all_are_and_end_when_told(make: Callable[[int], World]) -> None:
    world = make(3)
    world.say(2, "obstacle", '"Kafka is away"')
    health = world.processes.health
    assert health.obstacle == "it is starting"
    world.begin()
    wait_until(lambda: health.obstacle == "process 2: Kafka is away")
    world.say(2, "obstacle", '""')
    wait_until(lambda: health.obstacle == "")
    assert health.is_alive
    world.say(1, "busy")
    world.stop.set()
    wait_until(lambda: health.obstacle == "it is stopping")
    assert world.status is None
    world.unsay(1, "busy")
    assert world.end() == 0


def test_the_first_goes_ahead_until_it_has_loaded(make: Callable[[int], World]) -> None:
    world = make(2)
    world.say(1, "is_loaded", "false")
    world.begin()
    world.pid(1)
    health = world.processes.health
    wait_until(lambda: health.obstacle == "process 2: it is not started yet")
    assert not world.has_begun(2)
    world.say(1, "is_loaded", "true")
    world.pid(2)
    wait_until(lambda: health.obstacle == "")


def test_what_is_wrong_with_the_first_is_said_once(make: Callable[[int], World]) -> None:
    world = make(3)
    world.say(1, "is_loaded", "false")
    world.say(1, "exit", "2")
    world.begin()
    assert world.end() == 2
    assert not world.has_begun(2)


@pytest.mark.parametrize("status", [0, 1, 3])
def test_one_that_ends_by_itself_ends_all(make: Callable[[int], World], status: int) -> None:
    world = make(2)
    world.begin()
    others = world.pid(2)
    world.say(1, "exit", str(status))
    assert world.end() == status
    with pytest.raises(ProcessLookupError):
        os.kill(others, 0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, 143])
def test_one_that_is_killed_is_started_again(
    make: Callable[[int], World], caplog: pytest.LogCaptureFixture, how: int
) -> None:
    world = make(2)
    world.begin()
    world.pid(1)
    before = world.pid(2)
    Path("orders/2.pid").unlink()
    if how == 143:
        world.say(2, "exit", "143")
        wait_until(lambda: "was ended by" in caplog.text)
        world.unsay(2, "exit")
    else:
        os.kill(before, how)
    assert world.pid(2) != before
    name = "SIGTERM" if how == 143 else signal.Signals(how).name
    assert f"process 2 was ended by {name} and is started again in 1 s" in caplog.text
    wait_until(lambda: world.processes.health.obstacle == "")
    world.stop.set()
    assert world.end() == 0


def test_one_that_cannot_be_replaced_yet_is_later(
    make: Callable[[int], World], caplog: pytest.LogCaptureFixture
) -> None:
    world = make(2)
    world.begin()
    world.pid(1)
    before = world.pid(2)
    Path("orders/2.pid").unlink()
    world.refusals = 1
    os.kill(before, signal.SIGKILL)
    assert world.pid(2) != before
    assert "process 2 cannot be started yet: no more processes" in caplog.text
    world.stop.set()
    assert world.end() == 0


def test_one_that_can_never_be_started_is_a_failure(make: Callable[[int], World]) -> None:
    world = World(1)
    world.refusals = 1
    with pytest.raises(BlockingIOError):
        world.processes.run(world.stop)


def test_one_that_is_killed_while_it_ends_is_a_failure(make: Callable[[int], World]) -> None:
    world = make(2)
    world.say(2, "busy")
    world.begin()
    pid = world.pid(2)
    wait_until(lambda: world.processes.health.obstacle == "")
    world.stop.set()
    wait_until(lambda: world.processes.health.obstacle == "it is stopping")
    os.kill(pid, signal.SIGKILL)
    assert world.end() == 1


def test_it_lives_if_all_do(make: Callable[[int], World], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_health, "BEATS_WITHIN", 4.0)
    world = make(2)
    world.begin()
    health = world.processes.health
    wait_until(lambda: health.obstacle == "")
    assert health.is_alive
    world.say(2, "loop_age", "100")
    wait_until(lambda: not health.is_alive)
    world.say(2, "loop_age", "0")
    wait_until(lambda: health.is_alive)
    pid = world.pid(1)
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: not health.is_alive)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: health.is_alive)


def test_what_they_count_is_passed_on_to_the_last(make: Callable[[int], World]) -> None:
    world = make(2)
    world.say(1, "metrics", '"one 1"')
    world.begin()
    wait_until(lambda: world.metrics.taken == {1: "one 1", 2: ""})
    world.say(1, "metrics", '"one 2"')
    world.say(1, "exit", "0")
    assert world.end() == 0
    assert sorted(world.metrics.retired) == [(1, "one 2"), (2, "")]


def test_killing_ends_all_at_once(make: Callable[[int], World]) -> None:
    world = make(2)
    for number in (1, 2):
        world.say(number, "busy")
    world.begin()
    pids = [world.pid(1), world.pid(2)]
    wait_until(lambda: world.processes.health.obstacle == "")
    world.stop.set()
    wait_until(lambda: world.processes.health.obstacle == "it is stopping")
    world.processes.kill()
    assert world.end() == 1
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_they_end_with_their_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("orders").mkdir()
    Path("child.py").write_text(CHILD)
    parent = """
import subprocess, sys, threading
from platform_events.workers.processes import Processes

def start(number, lifeline, reports):
    arguments = map(str, (number, lifeline, reports))
    return subprocess.Popen([sys.executable, "child.py", *arguments], pass_fds=(lifeline, reports))

Processes(2, start, None).run(threading.Event())
"""
    process = subprocess.Popen([sys.executable, "-c", parent])
    try:
        pids: list[Any] = []
        for number in (1, 2):
            path = Path(f"orders/{number}.pid")
            wait_until(lambda path=path: path.exists() and bool(path.read_text()))
            pids.append(int(path.read_text()))
    finally:
        process.kill()
        process.wait()
    for pid in pids:
        wait_until(lambda pid=pid: not is_alive(pid))
