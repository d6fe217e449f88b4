"""Starts measurements, each in a fresh process, and gathers their results."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[1]
"""The project's directory, from which `benchmarks` can be imported."""
_TIME_LIMIT = 120.0


class MeasurementError(Exception):
    """A measurement failed; the text says why."""


@dataclass(slots=True)
class Samples:
    """Repeated measurements of one thing."""

    values: list[float] = field(default_factory=list)
    """One figure per repetition."""
    failures: list[str] = field(default_factory=list)
    """Why repetitions failed. One failure makes the whole row a failure."""

    @property
    def median(self) -> float | None:
        """The median, or None when a repetition failed or none ran."""
        return None if self.failures or not self.values else statistics.median(self.values)

    def to_json(self) -> dict[str, Any]:
        """Return the samples with their median."""
        return asdict(self) | {"median": self.median}

    def record(self, measure: Callable[[], float]) -> None:
        """Add one repetition, whether it succeeds or fails."""
        try:
            self.values.append(measure())
        except MeasurementError as error:
            self.failures.append(str(error))


@dataclass(frozen=True, slots=True)
class Turns:
    """Repeated measurements of one thing, with the processor time that each took."""

    figure: Samples = field(default_factory=Samples)
    """What is measured."""
    cpu: Samples = field(default_factory=Samples)
    """Processor time of repetitions that succeeded."""

    def record(self, measure: Callable[[], tuple[float, float]]) -> None:
        """Add one repetition, whether it succeeds or fails."""

        def figure() -> float:
            value, cpu = measure()
            self.cpu.values.append(cpu)
            return value

        self.figure.record(figure)


class Worker:
    """A measuring process."""

    def __init__(
        self, function: str, job: dict[str, Any], env: dict[str, str] | None = None
    ) -> None:
        self._name = function
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.tell(json.dumps({"function": function} | job))

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Write one line to the process."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """Read one line that the process prints before its result.

        Raises:
            MeasurementError: the process ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.result()
            raise MeasurementError(f"{self._name} ended too early")
        return line.rstrip("\n")

    def result(self, timeout: float = _TIME_LIMIT) -> Any:
        """Wait for the end and return the result.

        Raises:
            MeasurementError: the process failed or took too long.
        """
        try:
            out, errors = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise MeasurementError(f"{self._name} took more than {timeout:.0f} s") from None
        if self._process.returncode:
            # Lines of librdkafka's own log begin with a percent sign.
            lines = [line for line in errors.splitlines() if line and not line.startswith("%")]
            why = lines[-1] if lines else f"exit status {self._process.returncode}"
            raise MeasurementError(f"{self._name}: {why}")
        return json.loads(out.splitlines()[-1])

    def stop(self) -> None:
        """End the process now, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextmanager
def started(
    function: str, job: dict[str, Any], env: dict[str, str] | None = None
) -> Iterator[Worker]:
    """Start a measurement that the caller talks to; it never outlives the block."""
    worker = Worker(function, job, env)
    try:
        yield worker
    finally:
        worker.stop()


def run(
    function: str,
    job: dict[str, Any],
    timeout: float = _TIME_LIMIT,
    env: dict[str, str] | None = None,
) -> Any:
    """Run `module:function(**job)` in a fresh process and return its result.

    Raises:
        MeasurementError: it failed or took too long.
    """
    with started(function, job, env) as worker:
        return worker.result(timeout)
