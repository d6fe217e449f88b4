"""Reading a file or stdin: lines as they come from a pipe, a large file in bounded memory."""

from __future__ import annotations

import os
import select
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from platform_events.cli.terminal.interruption import signals
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1024 * 1024
"""Bytes read at once at most."""
MAX_LINE = 4 * 1024 * 1024
"""Bytes of a line at most; a longer one is passed over without keeping it."""
_BOM = b"\xef\xbb\xbf"
_STDIN = "-"


@contextmanager
def open_input(file: str | None, what: str) -> Iterator[tuple[int, int | None]]:
    """Give the descriptor of an input, and its size if it is a file.

    Args:
        file: its path; `-` is stdin, and so is None unless that is a terminal.
        what: the input has, in words.

    Raises:
        UsageError: it cannot be read.
    """
    if file is None or file == _STDIN:
        if sys.stdin is None:
            raise UsageError(f"stdin is closed; name a FILE or pipe {what} in")
        if file is None and sys.stdin.isatty():
            raise UsageError(f"name a FILE, pipe {what} in, or give - to type them")
        yield sys.stdin.fileno(), None
        return
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        yield descriptor, status.st_size if stat.S_ISREG(status.st_mode) else None
    finally:
        os.close(descriptor)


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
