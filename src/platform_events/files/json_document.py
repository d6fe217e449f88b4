"""Read JSON text into a tree of values with places."""

from __future__ import annotations

import re
from bisect import bisect_right
from json import JSONDecodeError, JSONDecoder
from math import isfinite
from typing import TYPE_CHECKING, Any

from platform_events.files.document import MAX_DEPTH, MAX_NODES, Mark, Node, entry_path, item_path
from platform_events.wording import is_unicode, shown

if TYPE_CHECKING:
    from platform_events.files.document import Report

_BLANK = re.compile(r"[ \t\r\n]*")
_COMMENT = "JSON has no comments; remove it, or write what it says into doc"
_NOT_PAIRED = "text has half of a surrogate pair, which is no Unicode character"


class _Stop(Exception):  # noqa: N818
    """Reading cannot go on after this place."""

    def __init__(self, position: int, message: str) -> None:
        self.position = position
        self.message = message


def read_json(text: str, report: Report) -> Node | None:
    """Return the document's root, None if it cannot be read; every problem is in the report.

    Stricter than JSON where that hides mistakes: repeated keys, NaN and Infinity are problems.
    """
    reader = _Reader(text, report)
    try:
        return reader.read()
    except _Stop as stop:
        is_comment = text.startswith(("//", "/*", "#"), stop.position)
        report.add_at(reader.mark(stop.position), _COMMENT if is_comment else stop.message)
        return None


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


class _Reader:
    def __init__(self, text: str, report: Report) -> None:
        self._text = text
        self._report = report
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._scalars = JSONDecoder(parse_constant=_refuse_constant)
        self._nodes = 0

    def mark(self, position: int) -> Mark:
        line = bisect_right(self._lines, position)
        return Mark(line, position - self._lines[line - 1] + 1)

    def read(self) -> Node:
        start = self._skip(0)
        if start == len(self._text):
            raise _Stop(start, "the file is empty")
        root, end = self._value(start, "", None, 0)
        end = self._skip(end)
        if end < len(self._text):
            raise _Stop(end, "not valid JSON: something follows the end of the document")
        return root

    def _skip(self, position: int) -> int:
        match = _BLANK.match(self._text, position)
        return match.end() if match else position

    def _value(self, start: int, path: str, key: Mark | None, depth: int) -> tuple[Node, int]:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise _Stop(start, f"values are nested deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            raise _Stop(start, f"the file has more than {MAX_NODES:,} values")
        value: Any
        match self._text[start : start + 1]:
            case "{":
                value, end = self._object(start + 1, path, depth)
            case "[":
                value, end = self._array(start + 1, path, depth)
            case _:
                value, end = self._scalar(start)
        return Node(value, self.mark(start), path, key), end

    def _scalar(self, start: int) -> tuple[Any, int]:
        try:
            value, end = self._scalars.raw_decode(self._text, start)
        except JSONDecodeError as error:
            raise _Stop(error.pos, f"not valid JSON: {error.msg}") from None
        except ValueError as error:
            raise _Stop(start, f"not valid JSON: {error}") from None
        if isinstance(value, str) and not is_unicode(value):
            raise _Stop(start, _NOT_PAIRED)
        if isinstance(value, float) and not isfinite(value):
            raise _Stop(start, f"{shown(self._text[start:end])} is larger than a double can be")
        return value, end

    def _object(self, position: int, path: str, depth: int) -> tuple[dict[str, Node], int]:
        entries: dict[str, Node] = {}
        position = self._skip(position)
        if self._text.startswith("}", position):
            return entries, position + 1
        while True:
            position = self._skip(position)
            mark = self.mark(position)
            if not self._text.startswith('"', position):
                raise _Stop(position, "not valid JSON: a key in double quotes is missing here")
            key, position = self._scalar(position)
            position = self._expect(position, ":") + 1
            node, position = self._value(
                self._skip(position), entry_path(path, key), mark, depth + 1
            )
            if key in entries:
                first = entries[key].key or mark
                self._report.add_key(node, f"the key is repeated; it is first on line {first.line}")
            else:
                entries[key] = node
            position = self._expect(position, ",}")
            if self._text[position] == "}":
                return entries, position + 1
            position += 1

    def _array(self, position: int, path: str, depth: int) -> tuple[tuple[Node, ...], int]:
        items: list[Node] = []
        position = self._skip(position)
        if self._text.startswith("]", position):
            return (), position + 1
        while True:
            node, position = self._value(
                self._skip(position), item_path(path, len(items)), None, depth + 1
            )
            items.append(node)
            position = self._expect(position, ",]")
            if self._text[position] == "]":
                return tuple(items), position + 1
            position += 1

    def _expect(self, position: int, characters: str) -> int:
        """Return the place of the next token, which must be one of `characters`."""
        position = self._skip(position)
        if self._text[position : position + 1] not in tuple(characters):
            wanted = " or ".join(characters)
            raise _Stop(position, f"not valid JSON: {wanted} is missing here")
        return position
