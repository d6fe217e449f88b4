"""Writing data to stdout: UTF-8 whatever the locale, each line flushed as it comes."""

from __future__ import annotations

import io
import json
import select
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))
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


def iso_time(moment: datetime) -> str:
    """Return a time in UTC as text with milliseconds."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def in_words(seconds: float) -> str:
    """Return a span of time for people, such as `35 hours`."""
    for unit, name in _UNITS:
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds"


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to stdout and flush.

    Raises:
        BrokenPipeError: nobody reads stdout any more.
        InputOutputError: it cannot be written.
    """
    text = "".join(f"{line}\n" for line in lines)
    if not text:
        return
    sys.stdout.buffer.write(text.encode(errors="backslashreplace"))
    sys.stdout.flush()


def print_line(line: str) -> None:
    """Write one line to stdout and flush; raises as `print_lines` does."""
    print_lines([line])


def print_json(document: Any) -> None:
    """Write one document to stdout, indented."""
    print_line(json.dumps(document, indent=2, ensure_ascii=False))


def print_json_list(documents: Iterable[Any]) -> None:
    """Write documents to stdout as one list, each on a line of its own, as they come."""
    begin = "["
    for document in documents:
        print_line(begin if begin == "[" else begin + ",")
        begin = json_line(document)
    print_lines([begin, "]"] if begin != "[" else ["[]"])


def pretty_json(document: Any) -> str:
    """Return a document for people: indented, and coloured where stdout is a terminal."""
    if not sys.stdout.isatty():
        return json.dumps(document, indent=2, ensure_ascii=False)
    from rich.console import Console
    from rich.json import JSON

    text = io.StringIO()
    console = Console(file=text, width=_ENDLESS, force_terminal=True)
    console.print(JSON.from_data(document, indent=2), soft_wrap=True, end="")
    return text.getvalue()


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
    # One line for each row: pipes need it, and IDs are copied from terminals.
    Console(
        file=text, width=_ENDLESS, force_terminal=sys.stdout.isatty(), highlight=False, markup=False
    ).print(table)
    print_lines(line.rstrip() for line in text.getvalue().splitlines())


def print_facts(facts: Mapping[str, str]) -> None:
    """Write names and what they are to stdout, one pair on each line."""
    width = max(map(len, facts))
    print_lines(f"{name:<{width}}  {text}" for name, text in facts.items())


def begin_screen() -> None:
    """Clear a terminal for the next table; in a pipe, leave a blank line between tables."""
    print_lines([""] if not sys.stdout.isatty() else ["\x1b[H\x1b[2J"])


def reader_is_gone() -> bool:
    """Whether stdout is a pipe whose other end was closed."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False
