"""Arguments and options that several commands share."""

from __future__ import annotations

import math
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from platform_events.definitions.durations import DURATION_PATTERN, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.bus.values import Start
    from platform_events.replay import ReplayId

_Decorated = TypeVar("_Decorated", bound="Callable[..., Any]")
DEFAULT_PATH = "schemas"
_KEYWORDS = ("latest", "earliest")
_AGE = re.compile(DURATION_PATTERN, re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORMS = "latest, earliest, an age such as 15m, a time such as 2024-01-31T12:00:00Z or a replay ID"


def definitions_path(command: _Decorated) -> _Decorated:
    """Add the argument `path`: where definitions are."""
    return click.argument(
        "path", default=DEFAULT_PATH, metavar="[PATH]", type=click.Path(path_type=Path)
    )(command)


def json_option(command: _Decorated) -> _Decorated:
    """Add the option `as_json`: one document instead of text for people."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def change_options(command: _Decorated) -> _Decorated:
    """Add the options that allow changes which are refused or left out otherwise."""
    prune = click.option(
        "--prune",
        is_flag=True,
        help="Delete this project's events and channels that no file defines any more.",
    )
    growth = click.option(
        "--allow-partition-growth",
        is_flag=True,
        help="Add partitions although events of one key then move to another.",
    )
    return prune(growth(command))


def parse_start(text: str) -> Start | datetime | ReplayId:
    """Read where to begin. No text is two of the forms.

    A replay ID's first byte is 0, so its text begins with `A`; times and ages begin with a digit.

    Raises:
        ReplayCorruptedError: it is none of the forms.
        click.BadParameter: a time without zone, or an option where the value should be.
    """
    from platform_events.bus.values import Start
    from platform_events.replay import ReplayCorruptedError, ReplayId

    if text in _KEYWORDS:
        return Start(text)
    if _AGE.fullmatch(text):
        now_ms = int(time.time() * 1000)
        return _EPOCH + timedelta(milliseconds=max(now_ms - parse_duration(text), 0))
    if _DATE.match(text):
        return _parse_time(text)
    context = click.get_current_context(silent=True)
    if context is not None and text in _option_names(context.command):
        raise click.BadParameter(f"a value is missing before {text}: {_FORMS}")
    try:
        return ReplayId.parse(text)
    except ReplayCorruptedError as error:
        raise ReplayCorruptedError(
            "", None, f"--from {text[:60]!r} is none of {_FORMS} ({error})"
        ) from None


def parse_seconds(text: str) -> float:
    """Read a span of time in seconds.

    Raises:
        click.BadParameter: it is not a number above 0.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise click.BadParameter(f"{text!r} is not a number of seconds above 0")
    return seconds


def parse_header(text: str) -> tuple[str, str]:
    """Split `NAME=VALUE`.

    Raises:
        click.BadParameter: it is not of that form.
    """
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, value


def _parse_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not an ISO 8601 time: {error}") from None
    if moment.tzinfo is None:
        raise click.BadParameter(f"{text!r} needs a time zone, such as 2024-01-31T12:00:00Z")
    return max(moment, _EPOCH)


def _option_names(command: click.Command) -> set[str]:
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
