"""What is wrong with a filter, and where."""

from __future__ import annotations

from platform_events.errors import PortableError

_WIDTH = 76
"""Characters of a line that an excerpt shows at most."""
_BEFORE = 30
"""Characters before the place that are kept when a line is cut."""
_CUT = "..."


class FilterError(PortableError, ValueError):
    """An expression is not a filter, or not one for this event. The text is one line."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.message = message
        """What is wrong and what to do."""
        self.start = start
        """Index of the first character that is to blame."""
        self.end = end
        """Index after the last one; equal to `start` only at the end of the expression."""

    def excerpt(self, text: str) -> str:
        """Return the line of the expression `text` that is to blame, and carets below the place."""
        first = text.rfind("\n", 0, self.start) + 1
        last = text.find("\n", self.start)
        line = text[first : len(text) if last < 0 else last]
        start = self.start - first
        end = max(min(self.end - first, len(line)), start + 1)
        begin = 0 if len(line) <= _WIDTH else max(min(start - _BEFORE, len(line) - _WIDTH), 0)
        shown = "".join(map(_printable, line[begin : begin + _WIDTH]))
        head = _CUT if begin else ""
        tail = _CUT if begin + _WIDTH < len(line) else ""
        width = min(end, begin + _WIDTH) - start
        marks = " " * (len(head) + start - begin) + "^" + "~" * (width - 1)
        return f"{head}{shown}{tail}\n{marks}"


class UnknownFieldError(FilterError):
    """A filter names a field that the event does not have."""


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else "?"
