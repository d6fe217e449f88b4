"""Running `platform-events` as a user does: another process, its own directory, a clean end."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support import free_port

if TYPE_CHECKING:
    import signal
    from pathlib import Path


class Program:
    """One run of the program."""

    def __init__(self, directory: Path, *arguments: str, **variables: str) -> None:
        self._errors = directory.with_name(f"{directory.name}-{os.urandom(4).hex()}.err")
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PLATFORM_EVENTS_")
        }
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "platform_events.cli", *arguments],
                cwd=directory,
                env=environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        self.stdout = self._process.stdout

    @property
    def stderr(self) -> str:
        """What it said so far."""
        return self._errors.read_text()

    def await_ready(self) -> dict[str, str]:
        """Return the pairs of the ready line, which must be the first one."""
        line = self.stdout.readline()
        assert line.startswith("ready "), self.stderr
        return dict(pair.split("=", 1) for pair in shlex.split(line)[1:])

    def descendants(self) -> set[int]:
        """Return the process ids of everything that it started and what that started."""
        found: set[int] = set()
        new = {self._process.pid}
        while new := {child for pid in new for child in _children(pid)}:
            found |= new
        return found

    def java(self) -> int:
        """Return the process id of its one broker."""
        guards = _children(self._process.pid)
        (java,) = (pid for guard in guards for pid in _children(guard))
        return java

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end; return the exit status and the rest of stdout."""
        with self._process:
            rest = self.stdout.read()
        return self._process.returncode, rest

    def destroy(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        with self._process:
            pass


def _children(pid: int) -> set[int]:
    listing = subprocess.run(
        ["ps", "-ax", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    pairs = (map(int, line.split()) for line in listing.splitlines())
    return {child for child, parent in pairs if parent == pid}


StartProgram = Callable[..., Program]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The empty directory in which programs run."""
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


@pytest.fixture
def start(directory: Path) -> Iterator[StartProgram]:
    """Start `platform-events` with arguments, and environment variables as keywords."""
    programs: list[Program] = []

    def run(*arguments: str, **variables: str) -> Program:
        programs.append(Program(directory, *arguments, **variables))
        return programs[-1]

    yield run
    for program in programs:
        program.destroy()


@pytest.fixture
def port() -> str:
    """A port that is free."""
    return str(free_port())


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    return _is_alive
