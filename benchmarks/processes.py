"""What processes use: times, memory, threads and descriptors. Linux only: all is from `/proc`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_BROKER = "java"


@dataclass(frozen=True, slots=True)
class Vitals:
    """A process at one moment."""

    cpu: float
    """Seconds of processor time since its start, in steps of 10 ms."""
    resident: float
    """Resident memory, MB (10**6 bytes)."""
    peak: float
    """The largest resident memory since its start, MB."""
    threads: int
    descriptors: int


def read_vitals(pid: int) -> Vitals:
    """Look at a process.

    Raises:
        ProcessLookupError: it has ended.
    """
    folder = _PROC / str(pid)
    try:
        status = dict(
            line.split(":", 1) for line in (folder / "status").read_text().splitlines() if line
        )
        return Vitals(
            read_cpu(pid),
            _megabytes(status["VmRSS"]),
            _megabytes(status["VmHWM"]),
            int(status["Threads"]),
            len(list((folder / "fd").iterdir())),
        )
    except (FileNotFoundError, KeyError) as error:
        raise ProcessLookupError(f"process {pid} has ended") from error


def read_cpu(pid: int) -> float:
    """Return the seconds of processor time that a process has used.

    Raises:
        ProcessLookupError: it has ended.
    """
    try:
        fields = _stat(pid)
    except FileNotFoundError as error:
        raise ProcessLookupError(f"process {pid} has ended") from error
    return (int(fields[11]) + int(fields[12])) / _TICKS


def find_broker() -> int | None:
    """Return the process of the embedded broker that this process started; None without one."""
    parents: dict[int, int] = {}
    brokers: list[int] = []
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            parents[int(folder.name)] = int(_stat(int(folder.name))[1])
            if (folder / "comm").read_text().strip() == _BROKER:
                brokers.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            # It ended while it was looked at.
            continue
    # The guard of a broker is between.
    own = [pid for pid in brokers if parents.get(parents[pid]) == os.getpid()]
    return own[0] if own else None


def _stat(pid: int) -> list[str]:
    # The name, in parentheses, may have blanks.
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _megabytes(field: str) -> float:
    return int(field.split()[0]) * 1024 / 1e6
