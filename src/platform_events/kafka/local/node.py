"""One broker process and its guard."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from platform_events.errors import LocalBrokerError, UsageError
from platform_events.kafka.local.storage import java_environment
from platform_events.kafka.local.supervisor import KILL, TERMINATE

if TYPE_CHECKING:
    from platform_events.kafka.local.artifacts import Runtime
    from platform_events.kafka.local.storage import NodeFiles

GRACE_SECONDS = 10.0
"""How long a broker may take to close its data before it is killed."""
_GUARD_SECONDS = 10.0
_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_HEADER = re.compile(r"\[[^]]+\] (?P<level>[A-Z]+) (?P<message>.*?)(?: \([^()]*\))?")
_LONGEST_QUOTE = 300
_DISK_RESERVE = 1024 * 1024


class Node:
    """One broker of an embedded cluster. It can be started again after it ended."""

    def __init__(self, files: NodeFiles, runtime: Runtime, *, throw_away: bool) -> None:
        self.number = files.node
        self.files = files
        self.expected_down = True
        """Whether it was stopped or killed on purpose, or never started."""
        self._runtime = runtime
        self._throw_away = throw_away
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @property
    def pid(self) -> int | None:
        """Process id of Java, None when it does not run."""
        return self._pid if self.is_running() else None

    def start(self, lock_descriptor: int) -> None:
        """Start Java under a guard, which keeps `lock_descriptor` open for as long as Java runs.

        Raises:
            LocalBrokerError: the guard or Java cannot be started.
        """
        with suppress(FileNotFoundError):
            self.files.log.replace(self.files.log.with_suffix(".previous.log"))
        doomed = str(self.files.root) if self._throw_away else ""
        java = self.files.java_command(self._runtime, "kafka.Kafka", str(self.files.properties))
        owner = str(os.getpid())
        with self.files.output.open("wb") as output:
            guard = subprocess.Popen(
                [sys.executable, "-I", "-S", _SUPERVISOR, owner, str(GRACE_SECONDS), doomed, *java],
                cwd=self.files.root,
                env=java_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                bufsize=0,
                pass_fds=(lock_descriptor,),
                start_new_session=True,
            )
        self._guard = guard
        assert guard.stdout is not None
        ready, _, _ = select.select([guard.stdout], [], [], _GUARD_SECONDS)
        answer = guard.stdout.readline() if ready else b""
        guard.stdout.close()
        if not answer.strip().isdigit():
            self.request_stop(last=True)
            self.await_stop()
            raise LocalBrokerError(f"Java cannot be started: {self.describe_failure()}")
        self._pid = int(answer)
        self.expected_down = False

    def is_running(self) -> bool:
        """Whether Java runs (or is paused)."""
        if self._guard is None:
            return False
        status = self._guard.poll()
        if status is None:
            return True
        if status < 0:  # the guard itself was killed; not every system takes Java down with it
            self._signal(signal.SIGKILL)
        self._release()
        return False

    def request_stop(self, *, last: bool) -> None:
        """Tell the guard to stop Java: cleanly, unless it is the `last` time and data go too."""
        self.expected_down = True
        if self._guard is not None and self._guard.stdin is not None:
            with suppress(BrokenPipeError):  # the guard is gone, and Java with it
                self._guard.stdin.write(KILL if last and self._throw_away else TERMINATE)

    def await_stop(self) -> None:
        """Return when Java is gone; kill it if the guard takes too long."""
        if self._guard is None:
            return
        try:
            self._guard.wait(GRACE_SECONDS + _GUARD_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._guard.kill()
            self._guard.wait()
        self.is_running()

    def kill(self) -> None:
        """Send SIGKILL to Java and return when it is gone.

        Raises:
            UsageError: it does not run.
        """
        guard = self._running_guard()
        self.expected_down = True
        self._signal(signal.SIGKILL)
        guard.wait(_GUARD_SECONDS)
        self.is_running()

    def pause(self) -> None:
        """Send SIGSTOP to Java: connections stay open, nothing is answered.

        Raises:
            UsageError: it does not run.
        """
        self._running_guard()
        self._signal(signal.SIGSTOP)
        if self.pid is not None:
            _await_stop(self.pid)

    def resume(self) -> None:
        """Send SIGCONT to Java.

        Raises:
            UsageError: it does not run.
        """
        self._running_guard()
        self._signal(signal.SIGCONT)

    def describe_failure(self) -> str:
        """Return the line that best says why the broker ended, and the file it comes from."""
        if shutil.disk_usage(self.files.root).free < _DISK_RESERVE:
            # Then what the broker had to say did not fit into its log either.
            return f"No space left on device (see {self.files.log})"
        for file in (self.files.log, self.files.output):
            with suppress(FileNotFoundError):
                line = find_cause(file.read_text("utf-8", errors="replace"))
                if line:
                    return f"{line[:_LONGEST_QUOTE]} (see {file})"
        return f"it says nothing (see {self.files.output})"

    def _running_guard(self) -> subprocess.Popen[bytes]:
        if self._guard is None or not self.is_running():
            raise UsageError(f"broker {self.number} does not run")
        return self._guard

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._pid:
                os.kill(self._pid, number)

    def _release(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
        self._guard = None
        self._pid = 0


def find_cause(log: str) -> str:
    """Return the most telling line of a broker's log, or an empty string.

    That is the root cause of the last exception that was logged as ERROR or FATAL, else the
    message of that record, else the last line that is not blank.
    """
    message = ""
    causes: list[str] = []
    is_failure = False
    for line in log.splitlines():
        header = _HEADER.fullmatch(line)
        if header:
            is_failure = header["level"] in ("ERROR", "FATAL")
            if is_failure:
                message, causes = header["message"], []
        elif is_failure and line.strip() and not line.startswith("\t"):
            causes.append(line.removeprefix("Caused by: "))
    if causes:
        return causes[-1]
    if message:
        return message
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _await_stop(pid: int) -> None:
    """Wait, where the system tells, until no thread of a stopped process runs any more."""
    deadline = time.monotonic() + _GUARD_SECONDS
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):  # of a thread that has just ended
            states = [
                file.read_text().rpartition(")")[2].split()[0]
                for file in Path(f"/proc/{pid}/task").glob("*/stat")
            ]
            if all(state == "T" for state in states):
                return
        time.sleep(0.001)
