"""What connects the processes of a worker with the one that started them: two pipes each.

Through one of them nothing ever comes: its end is the parent's wish that the process ends, or the
parent's own end, however that came. Through the other one a process says how it is.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_REPORT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a process says about itself."""

    obstacle: str = "it is starting"
    """Why it does not do its work, in words; empty if it does."""
    loop_age: float = 0.0
    """Seconds since its loop last came round."""
    is_loaded: bool = False
    """Whether it has imported the worker."""
    metrics: str = ""
    """Its numbers in the Prometheus text format; empty if it keeps none."""

    def to_line(self) -> bytes:
        """Return it as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Report:
        """Read what `to_line` wrote."""
        return cls(**json.loads(line))


class Parent:
    """The process that started this one.

    Args:
        lifeline: descriptor of the pipe that ends with it, or when it wants.
        reports: descriptor of the pipe through which it is told.
        look: returns what it is told, now and every second.
    """

    def __init__(self, lifeline: int, reports: int, look: Callable[[], Report]) -> None:
        # What the handlers start must not hold them.
        os.set_inheritable(lifeline, False)
        os.set_inheritable(reports, False)
        self._lifeline = lifeline
        self._reports = reports
        self._look = look
        self._has_left = threading.Event()
        self._stop: threading.Event | None = None
        self._telling = threading.Lock()
        for work in (self._await_end, self._tell_regularly):
            threading.Thread(target=work, name="platform-events-parent", daemon=True).start()

    def ends(self, stop: threading.Event) -> None:
        """Have `stop` set as soon as the parent wants this process to end, or is gone."""
        self._stop = stop
        if self._has_left.is_set():
            stop.set()

    def tell(self) -> None:
        """Tell it how this process is; if it is gone, nobody."""
        line = self._look().to_line()
        with suppress(OSError), self._telling:
            while line:
                line = line[os.write(self._reports, line) :]

    def _await_end(self) -> None:
        while os.read(self._lifeline, 1):
            pass
        self._has_left.set()
        if self._stop is not None:
            self._stop.set()

    def _tell_regularly(self) -> None:
        while True:
            self.tell()
            time.sleep(_REPORT_SECONDS)
