"""Where the characters of a YAML text value are in the file.

A value is not its source: quotes are doubled, escapes are resolved, lines are folded and indented.
YAML libraries say where a value begins, so each style is walked again beside the value (YAML 1.2.2,
chapters 7.3 and 8.1).
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import NamedTuple

_BREAK = re.compile(r"\r\n|[\n\r]")
_FOLD = re.compile(r"[ \t]*(?:\r\n|[\n\r])[ \t\r\n]*")
_PROPERTIES = re.compile(r"(?:[&!][^\s]*(?:[ \t]+|[ \t]*(?:#[^\n]*)?\r?\n\s*))*")
_ESCAPED_BREAK = re.compile(r"\\(?:\r\n|[\n\r])[ \t]*")
_ESCAPES = {"x": 4, "u": 6, "U": 10}
"""Characters of the escapes that are longer than two."""


class _Mismatch(Exception):  # noqa: N818
    """The source is not that of the value."""


class _Line(NamedTuple):
    start: int
    text: str
    """Without its break."""


def find_offsets(text: str, start: int, value: str) -> list[int] | None:
    """Return the offset in a file of each character of a value, and the one after the last.

    Args:
        text: the file.
        start: offset at which the value begins; its anchor and tag may be there.
        value: what it is.

    None if the source at that offset is not the value's.
    """
    properties = _PROPERTIES.match(text, start)
    begin = properties.end() if properties else start
    style = text[begin : begin + 1]
    try:
        if style in ("|", ">") and value:
            return _align_block(text, begin, value)
        if style == '"':
            return _align_flow(text, begin + 1, value, escapes=True, doubled=False)
        quoted = style == "'"
        return _align_flow(text, begin + quoted, value, escapes=False, doubled=quoted)
    except _Mismatch:
        return None


def _align_flow(text: str, position: int, value: str, *, escapes: bool, doubled: bool) -> list[int]:
    """Align a plain or quoted value, whose lines are folded."""
    offsets: list[int] = []
    index = 0
    while index < len(value):
        if escapes and (skipped := _ESCAPED_BREAK.match(text, position)):
            position = skipped.end()
            continue
        if fold := _FOLD.match(text, position):
            breaks = len(_BREAK.findall(fold.group()))
            folded = " " if breaks == 1 else "\n" * (breaks - 1)
            if value.startswith(folded, index):
                offsets += [position] * len(folded)
                index += len(folded)
                position = fold.end()
                continue
            # White space before an escaped break is kept, the escape comes later.
        source = text[position : position + 1]
        length = 1
        if escapes and source == "\\":
            length = _ESCAPES.get(text[position + 1 : position + 2], 2)
        elif source != value[index]:
            raise _Mismatch
        elif doubled and source == "'":
            length = 2
        offsets.append(position)
        index += 1
        position += length
    return [*offsets, position]


def _align_block(text: str, begin: int, value: str) -> list[int]:
    """Align a literal or folded block."""
    is_folded = text[begin] == ">"
    source, places = _strip_indentation(text, begin, value)
    offsets: list[int] = []
    position = index = 0
    while index < len(value):
        if source[position : position + 1] == value[index] != "\n":
            offsets.append(places[position])
            position += 1
            index += 1
            continue
        breaks = _count_breaks(source, position)
        if value[index] == "\n" and breaks:
            written = _count_breaks(value, index)
        elif is_folded and value[index] == " " and breaks == 1:
            written = 1
        else:
            raise _Mismatch
        if not is_folded and written > breaks:
            raise _Mismatch
        offsets += [places[position]] * written
        index += written
        position += breaks
    return [*offsets, places[min(position, len(places) - 1)]]


def _strip_indentation(text: str, begin: int, value: str) -> tuple[str, list[int]]:
    """Return a block's lines without indentation, and the offset of each of their characters."""
    header = _BREAK.search(text, begin)
    if header is None:
        raise _Mismatch
    lines = _lines_from(text, header.end())
    first = next((line.text for line in lines if line.text.strip(" ")), "")
    shown = next((line for line in value.split("\n") if line.strip(" ")), "")
    indentation = _count_spaces(first) - _count_spaces(shown)
    if indentation < 0:
        raise _Mismatch
    characters: list[str] = []
    places: list[int] = []
    for line in lines:
        kept = line.text[indentation:]
        begin_kept = line.start + min(indentation, len(line.text))
        characters += [*kept, "\n"]
        places += range(begin_kept, begin_kept + len(kept) + 1)
    return "".join(characters), places


def _lines_from(text: str, start: int) -> list[_Line]:
    lines = []
    for end in _BREAK.finditer(text, start):
        lines.append(_Line(start, text[start : end.start()]))
        start = end.end()
    return [*lines, _Line(start, text[start:])]


def _count_spaces(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _count_breaks(text: str, position: int) -> int:
    return sum(1 for _ in takewhile("\n".__eq__, text[position:]))
