"""stdout and stderr without buffers, so that a failure is known where it happens.

Python's own streams keep what they could not write and try again when the interpreter ends, after
our last line: it then complains in its own words and ends with status 120.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Any

from platform_events.cli.terminal.failures import InputOutputError

if TYPE_CHECKING:
    from typing import TextIO

    from typing_extensions import Buffer

_STDIN, _STDOUT, _STDERR = range(3)


class UnbufferedStream(io.RawIOBase):
    """A raw stream to which a write is done whole, or fails."""

    def __init__(self, raw: io.RawIOBase) -> None:
        super().__init__()
        self._raw = raw

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._raw.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._raw.isatty()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Write everything, even to what takes a part at once or is not ready."""
        rest = memoryview(data)
        size = rest.nbytes
        while rest:
            # It returns early after a signal, and None where it would block.
            written = self._raw.write(rest) or 0
            rest = rest[written:]
            if not written:
                select.select([], [self._raw], [])
        return size


class _Stdout(UnbufferedStream):
    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            closed = error.errno in (None, errno.EBADF)
            reason = "it is closed" if closed else os.strerror(error.errno or 0)
            raise InputOutputError(f"stdout cannot be written: {reason}") from error


class _Stderr(UnbufferedStream):
    def write(self, data: Buffer, /) -> int:
        # Nobody can be told that stderr is closed or full.
        with contextlib.suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


def install() -> None:
    """Replace `sys.stdout` and `sys.stderr` for the rest of this process."""
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        _occupy(descriptor)
    # Data is UTF-8 whatever the locale; messages are for the user's terminal.
    stderr_encoding = sys.stderr.encoding if sys.stderr is not None else "utf-8"
    sys.stdout = _text(_Stdout(_raw(sys.stdout, _STDOUT)), "utf-8")
    sys.stderr = _text(_Stderr(_raw(sys.stderr, _STDERR)), stderr_encoding)


def _occupy(descriptor: int) -> None:
    """Keep a closed descriptor from becoming that of some file or socket, open the wrong way."""
    try:
        os.fstat(descriptor)
    except OSError:
        os.open(os.devnull, os.O_WRONLY if descriptor == _STDIN else os.O_RDONLY)


def _raw(stream: TextIO | None, descriptor: int) -> io.RawIOBase:
    if stream is None:
        return io.FileIO(descriptor, "w", closefd=False)
    stream.flush()
    buffer: Any = stream.buffer  # raw itself with PYTHONUNBUFFERED
    raw: io.RawIOBase = getattr(buffer, "raw", buffer)
    return raw


def _text(stream: UnbufferedStream, encoding: str) -> io.TextIOWrapper:
    # A raw stream serves as well where nothing is to be buffered; typeshed does not know that.
    buffer: Any = stream
    return io.TextIOWrapper(buffer, encoding, errors="backslashreplace", write_through=True)
