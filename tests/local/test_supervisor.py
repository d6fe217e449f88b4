"""The guard, with quick stand-ins for Java."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from platform_events.kafka.local import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SUPERVISOR = supervisor.__file__
SLEEPER = ["/bin/sh", "-c", "while :; do sleep 0.05; done"]
DEAF = ["/bin/sh", "-c", "trap '' TERM; echo ready >&2; while :; do sleep 0.05; done"]
POLITE = ["/bin/sh", "-c", "trap 'exit 7' TERM; echo ready >&2; while :; do sleep 0.05; done"]


class Guard:
    def __init__(self, command: list[str], grace: float, doomed: str) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                SUPERVISOR,
                str(os.getpid()),
                str(grace),
                doomed,
                *command,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        assert self.process.stdout is not None
        self.child = int(self.process.stdout.readline())

    def await_ready(self) -> None:
        assert self.process.stderr is not None
        assert self.process.stderr.readline() == b"ready\n"


@pytest.fixture
def guard() -> Iterator[Callable[..., Guard]]:
    guards: list[Guard] = []

    def start(command: list[str], grace: float = 20.0, doomed: str = "") -> Guard:
        guards.append(Guard(command, grace, doomed))
        return guards[-1]

    yield start
    for each in guards:
        with each.process:
            each.process.kill()


def test_it_ends_with_the_status_of_java(guard: Callable[..., Guard]) -> None:
    assert guard(["/bin/sh", "-c", "exit 3"]).process.wait(20) == 3
    assert guard(["/bin/sh", "-c", "kill -9 $$"]).process.wait(20) == 128 + 9


def test_the_owner_asks_for_a_clean_stop(guard: Callable[..., Guard]) -> None:
    each = guard(POLITE)
    each.await_ready()
    each.process.stdin.write(supervisor.TERMINATE)
    assert each.process.wait(20) == 7


def test_the_owner_asks_for_a_quick_stop(
    guard: Callable[..., Guard], is_alive: Callable[[int], bool]
) -> None:
    each = guard(DEAF, grace=1000)
    each.await_ready()
    each.process.stdin.write(supervisor.KILL)
    each.process.wait(20)
    assert not is_alive(each.child)


@pytest.mark.parametrize("number", [signal.SIGTERM, None], ids=["SIGTERM", "end of file"])
def test_it_stops_java_cleanly(guard: Callable[..., Guard], number: signal.Signals | None) -> None:
    each = guard(POLITE)
    each.await_ready()
    if number is None:
        each.process.stdin.close()
    else:
        each.process.send_signal(number)
    assert each.process.wait(20) == 7


def test_java_that_does_not_end_is_killed(guard: Callable[..., Guard]) -> None:
    each = guard(DEAF, grace=0.1)
    each.await_ready()
    each.process.stdin.close()
    assert each.process.wait(20) == 128 + 9


def test_a_paused_java_is_stopped_cleanly(guard: Callable[..., Guard]) -> None:
    each = guard(POLITE)
    each.await_ready()
    os.kill(each.child, signal.SIGSTOP)
    each.process.stdin.close()
    assert each.process.wait(20) == 7


def test_a_signal_of_the_terminal_changes_nothing(
    guard: Callable[..., Guard], is_alive: Callable[[int], bool]
) -> None:
    each = guard(POLITE)
    each.await_ready()
    for number in (signal.SIGINT, signal.SIGHUP):
        os.killpg(each.process.pid, number)
    with pytest.raises(subprocess.TimeoutExpired):
        each.process.wait(0.5)
    assert is_alive(each.child)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_java_dies_with_a_killed_guard(
    guard: Callable[..., Guard],
    is_alive: Callable[[int], bool],
    eventually: Callable[[Callable[[], bool], str], None],
) -> None:
    each = guard(DEAF)
    each.await_ready()
    each.process.kill()
    eventually(lambda: not is_alive(each.child), "the child outlived its guard")


def test_a_changed_parent_is_enough(
    tmp_path: Path,
    is_alive: Callable[[int], bool],
    eventually: Callable[[Callable[[], bool], str], None],
) -> None:
    """The owner dies while a process that it forked keeps the pipe open."""
    script = tmp_path / "owner.py"
    script.write_text(
        "import os, subprocess, sys, time\n"
        f"guard = subprocess.Popen([sys.executable, '-I', '-S', {SUPERVISOR!r}, str(os.getpid()),\n"
        f"    '20', '', *{SLEEPER!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE,\n"
        "    start_new_session=True)\n"
        "java = int(guard.stdout.readline())\n"
        "heir = os.fork()\n"
        "if heir == 0:\n"
        "    time.sleep(600)\n"
        "print(java, guard.pid, heir, flush=True)\n"
        "os.waitpid(heir, 0)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as owner:
        java, guard, heir = map(int, owner.stdout.readline().split())
        try:
            assert is_alive(java)
            owner.kill()
            owner.wait()
            eventually(lambda: not is_alive(java), "Java outlived its owner")
            eventually(lambda: not is_alive(guard), "the guard outlived its owner")
            assert is_alive(heir)
        finally:
            os.kill(heir, signal.SIGKILL)


def test_only_an_orphan_removes_the_directory(guard: Callable[..., Guard], tmp_path: Path) -> None:
    for action, stays in ((supervisor.KILL, True), (b"", False)):
        doomed = tmp_path / "doomed"
        (doomed / "data").mkdir(parents=True, exist_ok=True)
        each = guard(SLEEPER, doomed=str(doomed))
        each.process.stdin.write(action)
        each.process.stdin.close()
        each.process.wait(20)
        assert doomed.exists() is stays
