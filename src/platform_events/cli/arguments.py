"""Commands as click has them here, with the arguments and options that several share."""

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
    from collections.abc import Callable, Sequence

    from platform_events.bus.values import Start
    from platform_events.replay import ReplayId

_Decorated = TypeVar("_Decorated", bound="Callable[..., Any]")
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
DEFAULT_PATH = "schemas"
_AGE = re.compile(DURATION_PATTERN, re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA_ID_LENGTH = 22
_ID = re.compile(r"[A-Za-z0-9_-]+=*")
_OPTIONS_NEVER_HAVE = re.compile(r"[A-Z0-9_]")
_TIMES = "an age such as 15m nor a time such as 2024-01-31T12:00:00Z"
_FORMS = "an age such as 15m, a time such as 2024-01-31T12:00:00Z or a replay ID"


class Command(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **extra: Any) -> None:
        extra.setdefault("context_settings", CONTEXT_SETTINGS)
        super().__init__(*args, **extra)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples as they are."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")


class CommandGroup(click.Group):
    """A group whose help has its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return their names."""
        return list(self.commands)


class IdCommand(Command):
    """A command with one argument, an ID, which may begin with `-`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move what is an ID after `--`, where nothing is an option."""
        if "--" not in args:
            ids = [text for text in args if looks_like_id(text)]
            if ids:
                args = [text for text in args if text not in ids] + ["--", *ids]
        return super().parse_args(ctx, args)


def definitions_path(command: _Decorated) -> _Decorated:
    """Add the argument `path`: where definitions are."""
    return click.argument(
        "path", default=DEFAULT_PATH, metavar="[PATH]", type=click.Path(path_type=Path)
    )(command)


def input_file(command: _Decorated) -> _Decorated:
    """Add the argument `file`: what to read; None if nothing is named, - for stdin."""
    kind = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)
    return click.argument("file", metavar="[FILE|-]", required=False, type=kind)(command)


def json_option(command: _Decorated) -> _Decorated:
    """Add the option `as_json`: one document instead of text for people."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(command)


def change_options(command: _Decorated) -> _Decorated:
    """Add the options that allow changes which are refused or left out otherwise."""
    prune = click.option(
        "--prune",
        is_flag=True,
        help="Delete this project's events and channels that no file defines any more; PATH is "
        "then its whole directory.",
    )
    growth = click.option(
        "--allow-partition-growth",
        is_flag=True,
        help="Add partitions although events of one key then move to another.",
    )
    replace = click.option(
        "--replace",
        metavar="EVENT",
        multiple=True,
        help="If this event's change is refused because it breaks readers, begin its stream again: "
        "its events go. May be repeated.",
    )
    return prune(replace(growth(command)))


def parse_start(text: str) -> Start | datetime | ReplayId:
    """Read where to begin. No text is two of the forms.

    A replay ID's first byte is 0, so its text begins with `A`; times and ages begin with a digit.

    Raises:
        ReplayCorruptedError: it is none of the forms.
        click.BadParameter: a time without zone, or an option where the value should be.
    """
    return _parse_start(text, "--from")


def parse_target(text: str) -> Start | datetime | ReplayId:
    """Read where to go on, in the forms of `parse_start`; raises as that does."""
    return _parse_start(text, "--to")


def parse_until(text: str) -> datetime | ReplayId:
    """Read where to stop: a start that is no word. Raises as `parse_start` does."""
    return _parse_place(text, "--until", _FORMS)


def parse_moment(text: str) -> datetime:
    """Read a time or an age.

    Raises:
        click.BadParameter: it is neither, or a time without zone.
    """
    moment = _parse_moment(text)
    if moment is None:
        raise click.BadParameter(f"{text[:60]!r} is neither {_TIMES}")
    return moment


def _parse_start(text: str, option: str) -> Start | datetime | ReplayId:
    from platform_events.bus.values import Start

    return Start.named(text) or _parse_place(text, option, f"latest, earliest, {_FORMS}")


def _parse_place(text: str, option: str, forms: str) -> datetime | ReplayId:
    from platform_events.replay import ReplayCorruptedError, ReplayId

    moment = _parse_moment(text)
    if moment is not None:
        return moment
    context = click.get_current_context(silent=True)
    if context is not None and text in _option_names(context.command):
        raise click.BadParameter(f"a value is missing before {text}: {forms}")
    try:
        return ReplayId.parse(text)
    except ReplayCorruptedError as error:
        raise ReplayCorruptedError(
            "", None, f"{option} {text[:60]!r} is none of {forms} ({error})"
        ) from None


def _parse_moment(text: str) -> datetime | None:
    """Return the time that a text says; None if it is neither a time nor an age."""
    if _AGE.fullmatch(text):
        now_ms = int(time.time() * 1000)
        return _EPOCH + timedelta(milliseconds=max(now_ms - parse_duration(text), 0))
    return _parse_time(text) if _DATE.match(text) else None


class FiniteRange(click.FloatRange):
    """A range of numbers without infinity and what is not a number, which Python reads too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


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


def looks_like_id(text: str) -> bool:
    """Whether an argument that begins with `-` is an ID rather than an option.

    Options are lowercase words after two dashes; IDs are base64url. Only a schema ID has exactly
    22 characters, and no option of a command that takes one does.
    """
    if not text.startswith("-") or text in ("-", "--") or not _ID.fullmatch(text):
        return False
    if len(text.rstrip("=")) == _SCHEMA_ID_LENGTH or _OPTIONS_NEVER_HAVE.search(text):
        return True
    return not text.startswith("--") and len(text) > len("-h")


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
