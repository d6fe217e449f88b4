"""LIKE: whether a text is like a pattern, in time that grows with the text alone.

Between two `%` is a part of fixed length, since `_` is one character. The leftmost place for
each part is as good as any other, so none is ever given back. A part without `_` is searched for
in linear time, whatever it is; one with `_` may be tried again at each place, so its length is
bounded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_WILD_PART = 64
"""Characters between two `%` at most, if `_` is among them."""


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return the function that tells whether a text is like a pattern.

    Raises:
        ValueError: a part with `_` is too long; the text says the limit.
    """
    parts = pattern.split("%")
    if len(parts) == 1:
        whole = _compile(pattern)
        return lambda text: whole.fullmatch(text) is not None
    for part in parts[1:-1]:
        if "_" in part and len(part) > MAX_WILD_PART:
            raise ValueError(
                f"between two % there are at most {MAX_WILD_PART} characters if _ is among them, "
                f"not {len(part):,}"
            )
    head, tail = len(parts[0]), len(parts[-1])
    first, *inner, last = map(_compile, parts)

    def matches(text: str) -> bool:
        at, end = head, len(text) - tail
        if end < head or not first.match(text) or not last.match(text, end):
            return False
        for part in inner:
            found = part.search(text, at, end)
            if found is None:
                return False
            at = found.end()
        return True

    return matches


def _compile(part: str) -> re.Pattern[str]:
    characters = ("." if character == "_" else re.escape(character) for character in part)
    return re.compile("".join(characters), re.DOTALL)
