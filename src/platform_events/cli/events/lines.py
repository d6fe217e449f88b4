"""Reading lines as they come: at once from a pipe, in bounded memory from a large file."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from platform_events.cli.terminal.interruption import signals

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1024 * 1024
"""Bytes read at once at most."""
MAX_LINE = 4 * 1024 * 1024
"""Bytes of a line at most; a longer one is passed over without keeping it."""
_BOM = b"\xef\xbb\xbf"


def read_lines(descriptor: int) -> Iterator[tuple[list[bytes | None], int]]:
    """Yield the complete lines of what is there to be read, and how many bytes were read for them.

    A line comes without its line feed; None is one of more than `MAX_LINE` bytes. The last line
    needs no line feed. A byte order mark at the beginning is dropped.
    """
    rest = bytearray()
    too_long = False
    first = True
    while data := _read(descriptor):
        size = len(data)
        if first:
            data = data.removeprefix(_BOM)
            first = False
        *complete, tail = data.split(b"\n")
        lines: list[bytes | None] = []
        for part in complete:
            rest += part
            lines.append(None if too_long or len(rest) > MAX_LINE else bytes(rest))
            rest.clear()
            too_long = False
        rest += tail
        if too_long or len(rest) > MAX_LINE:
            too_long = True
            rest.clear()
        yield lines, size
    if too_long or rest:
        yield [None if too_long else bytes(rest)], 0


def _read(descriptor: int) -> bytes:
    while True:
        signals.wait_readable(descriptor)
        try:
            return os.read(descriptor, CHUNK)
        except BlockingIOError:
            # Whoever shares the other end of a pipe or terminal may have made it non-blocking.
            select.select([descriptor], [], [])
