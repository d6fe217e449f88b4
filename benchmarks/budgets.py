"""The budgets that every part holds: start-up times and memory."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from benchmarks.audit import audit_layout
from benchmarks.deployment import CLI, deploy, deployed, running_broker, write_definitions
from benchmarks.events import FLIGHT
from benchmarks.runner import ROOT, MeasurementError, run, started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_REPETITIONS = 5
_UP_REPETITIONS = 3
_UP_TIME_LIMIT = 120.0
_DELIVERY_TIMEOUT = 8.0
_SLEEP = 6.0
_IMPORT = (
    "import time; start = time.perf_counter(); import platform_events; "
    "print(time.perf_counter() - start)"
)


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget and what was measured."""

    what: str
    """What is limited."""
    limit: float
    """At most this."""
    unit: str
    """`s` or `MB` (10**6 bytes of resident memory)."""
    value: float | None
    """What was measured; None: it could not be."""
    note: str = ""
    """What else was seen, or why it could not be measured."""

    @property
    def met(self) -> bool:
        """Whether the budget holds. What could not be measured does not."""
        return self.value is not None and self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Inspection:
    """How to measure the budgets."""

    bootstrap_servers: str
    """A running broker."""
    flights: Path | None
    """A file of flights; None: made-up flights."""
    year: int
    """Events in the "year of flights"."""
    progress: Callable[[str], None]
    """Called with a line about what comes next."""

    def run(self) -> list[Budget]:
        """Measure every budget; one that fails is reported, not raised."""
        checks: list[tuple[str, float, str, Callable[[], tuple[float, str]]]] = [
            ("`import platform_events`", 0.35, "s", _import_time),
            ("`platform-events --help`", 0.5, "s", _help_time),
            ("`platform-events up` to the ready line", 8.0, "s", _up_time),
            (
                "publisher with a dead broker, memory over idle",
                150.0,
                "MB",
                self._dead_broker,
            ),
            ("a year of flights published and read back, memory", 250.0, "MB", self._year),
            ("subscriber whose reader sleeps, memory over idle", 100.0, "MB", self._sleeper),
        ]
        return list(self._measured(checks))

    def _measured(
        self, checks: list[tuple[str, float, str, Callable[[], tuple[float, str]]]]
    ) -> Iterator[Budget]:
        for what, limit, unit, measure in checks:
            self.progress(f"budget: {what.replace('`', '')}")
            try:
                value, note = measure()
            except (MeasurementError, RuntimeError, ImportError) as error:
                yield Budget(what, limit, unit, None, f"{type(error).__name__}: {error}")
            else:
                yield Budget(what, limit, unit, value, note)

    @property
    def _flights_text(self) -> str | None:
        return None if self.flights is None else str(self.flights)

    def _dead_broker(self) -> tuple[float, str]:
        with ExitStack() as stack:
            with running_broker(None) as bootstrap_servers:
                job = {
                    "target": asdict(deploy(bootstrap_servers, [FLIGHT])[FLIGHT.event]),
                    "delivery_timeout": _DELIVERY_TIMEOUT,
                    "flights": self._flights_text,
                }
                publisher = stack.enter_context(started("benchmarks.probes:keep_publishing", job))
                publisher.hear()
            publisher.tell("dead")
            seen = publisher.result()
        outcomes: dict[str, int] = seen["statuses"]
        if outcomes.get("PERSISTED") or sum(outcomes.values()) != seen["accepted"]:
            raise MeasurementError(f"{seen['accepted']} events submitted, outcomes {outcomes}")
        if seen["longest_wait"] < 1:
            raise MeasurementError("no back-pressure: every submit returned within a second")
        listed = ", ".join(f"{count:,} {status}" for status, count in outcomes.items())
        return seen["peak"] - seen["idle"], (
            f"idle {seen['idle']:.0f} MB; {listed}; longest wait for room "
            f"{seen['longest_wait']:.1f} s with a delivery time-out of {_DELIVERY_TIMEOUT:.0f} s"
        )

    def _year(self) -> tuple[float, str]:
        with deployed(self.bootstrap_servers, [FLIGHT]) as targets:
            seen = run(
                "benchmarks.probes:publish_and_read_back",
                {"target": asdict(targets[FLIGHT.event])} | self._all_flights,
                timeout=240,
            )
        if seen["statuses"] != {"PERSISTED": seen["read"]} or not seen["same_events"]:
            raise MeasurementError(f"published {seen['statuses']}, read {seen['read']}")
        return seen["peak"], f"{seen['read']:,} events"

    def _sleeper(self) -> tuple[float, str]:
        with deployed(self.bootstrap_servers, [FLIGHT]) as targets:
            target = {"target": asdict(targets[FLIGHT.event])}
            run(
                "benchmarks.throughput:publish",
                target | self._all_flights | {"rival": "bare", "parts": []},
            )
            audit_layout(targets[FLIGHT.event])
            seen = run("benchmarks.probes:sleep_over_a_subscription", target | {"seconds": _SLEEP})
        return seen["peak"] - seen["idle"], (
            f"idle {seen['idle']:.0f} MB; {self.year:,} flights in the stream"
        )

    @property
    def _all_flights(self) -> dict[str, Any]:
        return {"count": self.year, "flights": self._flights_text}


def _import_time() -> tuple[float, str]:
    def once() -> float:
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MeasurementError(done.stderr.strip().splitlines()[-1])
        return float(done.stdout)

    return _median(once), f"median of {_REPETITIONS}"


def _help_time() -> tuple[float, str]:
    def once() -> float:
        start = time.perf_counter()
        done = subprocess.run(
            [*CLI, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise MeasurementError(done.stderr.strip().splitlines()[-1])
        return time.perf_counter() - start

    return _median(once), f"median of {_REPETITIONS}, the interpreter's start included"


def _median(once: Callable[[], float]) -> float:
    once()
    return statistics.median(once() for _ in range(_REPETITIONS))


def _up_time() -> tuple[float, str]:
    with tempfile.TemporaryDirectory() as folder:
        schemas = Path(folder) / "schemas"
        schemas.mkdir()
        write_definitions(schemas, [FLIGHT])
        _bring_up(Path(folder))
        times = [_bring_up(Path(folder)) for _ in range(_UP_REPETITIONS)]
    return statistics.median(times), f"median of {_UP_REPETITIONS}, jars and data directory there"


def _bring_up(folder: Path) -> float:
    """Run `up` to its ready line, stop it, and return the seconds to that line."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--kafka-port", str(port), "--data-dir", folder / "data")
    errors_path = folder / "up.log"
    with errors_path.open("w") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            [*CLI, "up", *options, "--schemas", folder / "schemas"],
            cwd=folder,
            env=_importable(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        watchdog = Timer(_UP_TIME_LIMIT, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        watchdog.cancel()
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=_UP_TIME_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise MeasurementError("up did not end after Ctrl-C") from None
    if not line.startswith("ready"):
        raise MeasurementError(f"up: {errors_path.read_text().strip()[-300:] or line}")
    return seconds


def _importable() -> dict[str, str]:
    """Return the environment in which the package is found from any directory."""
    paths = [str(Path(entry).resolve()) for entry in sys.path if entry]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def summarize(budgets: list[Budget]) -> list[dict[str, Any]]:
    """Return the budgets for the results file."""
    return [
        asdict(budget)
        | {
            "met": budget.met,
            "failures": [f"{budget.what}: {budget.note}"] if budget.value is None else [],
        }
        for budget in budgets
    ]
