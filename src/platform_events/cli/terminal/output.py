"""Writing data to stdout: UTF-8 whatever the locale, each line flushed as it comes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from platform_events.cli.terminal.failures import InputOutputError

if TYPE_CHECKING:
    from collections.abc import Iterable

_ENDLESS = 10_000
"""Columns of a table's line at most."""
_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_COMPACT_ASCII = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def json_line(document: Any) -> str:
    """Return a document as one line of JSON that can be written as UTF-8."""
    line = _COMPACT.encode(document)
    try:
        line.encode()
    except UnicodeEncodeError:
        # A lone surrogate, which only an escape can carry.
        return _COMPACT_ASCII.encode(document)
    return line


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to stdout and flush.

    Raises:
        BrokenPipeError: nobody reads stdout any more.
        InputOutputError: it cannot be written.
    """
    text = "".join(f"{line}\n" for line in lines)
    if not text:
        return
    try:
        _write_all(sys.stdout.buffer, text.encode(errors="backslashreplace"))
    except BrokenPipeError:
        raise
    except (OSError, AttributeError, ValueError) as error:
        raise InputOutputError(f"stdout cannot be written: {_reason(error)}") from error


def _write_all(stream: BinaryIO, data: bytes) -> None:
    """Write everything, even to an unbuffered or non-blocking stream that takes a part at once."""
    rest = memoryview(data)
    while rest:
        try:
            # An unbuffered stream returns early after a signal, and None where it would block.
            written = stream.write(rest) or 0
        except BlockingIOError as error:
            written = error.characters_written
        rest = rest[written:]
        if not written:
            select.select([], [stream], [])
    while True:
        try:
            stream.flush()
        except BlockingIOError:
            select.select([], [stream], [])
        else:
            return


def print_line(line: str) -> None:
    """Write one line to stdout and flush; raises as `print_lines` does."""
    print_lines([line])


def print_json(document: Any) -> None:
    """Write one document to stdout, indented."""
    print_line(json.dumps(document, indent=2, ensure_ascii=False))


def print_table(columns: list[str], rows: list[list[str]], numbers: Iterable[int] = ()) -> None:
    """Write a table for people to stdout; `numbers` are the columns to align at the right."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    right = set(numbers)
    for index, column in enumerate(columns):
        table.add_column(
            column, justify="right" if index in right else "left", overflow="fold", highlight=False
        )
    for row in rows:
        table.add_row(*row)
    text = io.StringIO()
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    # One line for each row: pipes need it, and IDs are copied from terminals.
    Console(
        file=text, width=_ENDLESS, force_terminal=is_terminal, highlight=False, markup=False
    ).print(table)
    print_lines(line.rstrip() for line in text.getvalue().splitlines())


def note(message: str) -> None:
    """Tell the user something on stderr."""
    with contextlib.suppress(OSError):
        click.echo(message, err=True)


def reader_is_gone() -> bool:
    """Whether stdout is a pipe whose other end was closed."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False


def drop_stdout() -> None:
    """Send what is still buffered for a closed pipe nowhere, or Python complains at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def flush_stdout() -> None:
    """Write what a library left in the buffer; raises as `print_lines` does."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        raise InputOutputError(f"stdout cannot be written: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return "it is closed"
