"""What a worker's options may be."""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import Any, get_args

from platform_events.bus.values import Start
from platform_events.errors import UsageError
from platform_events.replay import ReplayCorruptedError, ReplayId
from platform_events.wording import one_of, shown, suggest

_INSTANCE_ID = re.compile(r"[A-Za-z0-9._-]{1,200}")
"""What Kafka takes, with room for the number of a process."""


def check_text(name: str, value: Any) -> str:
    """Return a text.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, str):
        raise UsageError(f"{name} is a text, not {_shown(value)}")
    return value


def check_count(name: str, value: Any) -> int:
    """Return a whole number of at least 1.

    Raises:
        UsageError: it is none.
    """
    if type(value) is not int or value < 1:
        raise UsageError(f"{name} is a whole number of at least 1, not {_shown(value)}")
    return value


def check_seconds(name: str, value: Any) -> float:
    """Return a number of seconds.

    Raises:
        UsageError: it is none, or below 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise UsageError(f"{name} is a number of seconds, 0 or more, not {_shown(value)}")
    return value


def check_word(name: str, value: Any, words: Any) -> Any:
    """Return one of the words of a `Literal`.

    Raises:
        UsageError: it is none of them.
    """
    allowed = get_args(words)
    if value not in allowed:
        guess = suggest(value, allowed) if isinstance(value, str) else ""
        raise UsageError(f"{name} is {one_of(allowed)}, not {_shown(value)}{guess}")
    return value


def check_start(value: Any) -> Start | ReplayId | datetime:
    """Return where a subscription may begin.

    Raises:
        UsageError: it is none of the forms.
    """
    if isinstance(value, datetime) and value.tzinfo is None:
        raise UsageError("start needs a time zone, such as datetime.now(UTC)")
    if isinstance(value, Start | ReplayId | datetime):
        return value
    if isinstance(value, str) and (named := Start.named(value)) is not None:
        return named
    if isinstance(value, str | bytes):
        try:
            return ReplayId.parse(value)
        except ReplayCorruptedError:
            pass
    raise UsageError(
        f"start is Start.LATEST, Start.EARLIEST, a replay ID or a datetime with a time zone, not "
        f"{_shown(value)}"
    )


def check_instance_id(value: Any) -> str | None:
    """Return the name of a static member, None if it is to be none.

    Raises:
        UsageError: Kafka does not take it.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not _INSTANCE_ID.fullmatch(value) or value in (".", ".."):
        raise UsageError(
            "instance_id is letters, digits, '.', '_' and '-', at most 200 characters, such as the "
            f"name of a pod, not {_shown(value)}"
        )
    return value


def _shown(value: Any) -> str:
    return shown(value) if isinstance(value, str) else f"{value!r:.60}"
