"""Spans of time as people write them: a whole number and one unit, such as `72h` or `30d`."""

from __future__ import annotations

import re

from platform_events.errors import UsageError

SECOND = 1_000
"""Milliseconds."""
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

DURATION_RULE = "a whole number with a unit: s, m, h or d, such as 90s, 15m, 72h or 30d"
_UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}
DURATION_PATTERN = rf"[0-9]{{1,15}}({'|'.join(_UNITS)})"
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)
_DAYS_FROM = 72 * HOUR


def parse_duration(text: str) -> int:
    """Return the milliseconds that `text` stands for.

    Raises:
        UsageError: it is not a number with a unit.
    """
    if not _DURATION.fullmatch(text):
        raise UsageError(f"{text!r:.60} is not a duration: write {DURATION_RULE}")
    digits = text.rstrip("dhms")
    return int(digits) * _UNITS[text[len(digits) :]]


def format_duration(milliseconds: int) -> str:
    """Return the shortest text that `parse_duration` reads back as `milliseconds` (0 or more).

    Days begin after 72 hours, because that is how the usual retention is written.
    """
    for unit, size in _UNITS.items():
        if milliseconds % size == 0 and (size != DAY or milliseconds > _DAYS_FROM):
            return f"{milliseconds // size}{unit}"
    raise AssertionError("every whole number is a multiple of a millisecond")
