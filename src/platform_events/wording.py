"""How messages quote, list and guess words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SHOWN = 60
"""Characters of a quoted text at most."""
LISTED = 10
"""Words of a list at most."""
_LONGEST_GUESS = 80


def shown(text: str) -> str:
    """Quote text on one line, cut if it is long."""
    return repr(cut(text))


def cut(text: str) -> str:
    """Return text as it is, cut if it is long."""
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def listed(words: Sequence[str]) -> str:
    """Return `a, b, c`, cut if there are many."""
    return ", ".join(words[:LISTED]) + (", ..." if len(words) > LISTED else "")


def missing_package(user: str, package: str | None, extra: str) -> str:
    """Say that something needs a package that is not installed, and which extra brings it."""
    return (
        f"{user} needs the package {package}: install platform-events again with the extra "
        f"{extra!r}, as in: pip install '/path/to/platform-events[{extra}]'"
    )


def closest(word: str, options: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the option closest to a misspelt word, None if none is close."""
    if len(word) > _LONGEST_GUESS:
        return None
    by_lower = {option.lower(): option for option in options}
    close = get_close_matches(word.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[close[0]] if close else None


def suggest(word: str, options: Iterable[str], cutoff: float = 0.6) -> str:
    """Return `; did you mean X?` for the option closest to a misspelt word, else nothing."""
    guess = closest(word, options, cutoff)
    return f"; did you mean {guess}?" if guess else ""


def one_of(words: Sequence[str]) -> str:
    """Return `a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def is_unicode(text: str) -> bool:
    """Whether `text` has no lone surrogate, which escapes can smuggle in."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
