"""What a command says when it fails, and the exit status."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

import click

from platform_events.errors import (
    DefinitionsError,
    EventTooLargeError,
    PlanRefusedError,
    PlatformEventsError,
    UndecodableRecordError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from platform_events.filters import FilterError

FAILED = 1
WRONG_USAGE = 2
DEBUG_VARIABLE = "PLATFORM_EVENTS_DEBUG"
"""Set to anything: tracebacks, and what the Kafka clients log."""


class InvalidJsonError(PlatformEventsError):
    """An input line is not JSON."""

    code = "INVALID_JSON"


class LineTooLongError(PlatformEventsError):
    """An input line is longer than any event may be."""

    code = EventTooLargeError.code


class InterruptedPublishError(PlatformEventsError):
    """Publishing was ended by a signal; the message says what is not known."""

    code = "INTERRUPTED"


class BreakingChangeError(PlatformEventsError):
    """Definitions may not follow what they were."""

    code = "BREAKING_CHANGE"


class UndecodableError(PlatformEventsError):
    """A record cannot be decoded; the message names the option that goes on."""

    code = UndecodableRecordError.code


class WrongFilterError(UsageError):
    """An expression of the command line is no filter for the events."""

    def __init__(self, error: FilterError, text: str) -> None:
        super().__init__(f"the filter is wrong: {error}")
        self.excerpt = error.excerpt(text)
        """The expression and below it a mark at the place."""


class InputOutputError(PlatformEventsError):
    """The operating system refuses to read or write stdin, stdout or a file."""

    code = "IO"


def is_debugging() -> bool:
    """Whether the user asked for details of failures."""
    return bool(os.environ.get(DEBUG_VARIABLE))


def report_failure(error: Exception) -> int:
    """Tell the user what went wrong, one line for each thing, and return the exit status."""
    if is_debugging():
        traceback.print_exception(error, file=sys.stderr)
    status = FAILED
    match error:
        case click.exceptions.NoArgsIsHelpError():
            _tell([error.format_message()])
            return WRONG_USAGE
        case click.ClickException():
            lines = [("USAGE", _explain_usage(error))]
            status = WRONG_USAGE
        case click.Abort():
            lines = [("INTERRUPTED", "ended at the question; nothing was changed")]
        case DefinitionsError():
            _tell_problems(error)
            return FAILED
        case PlanRefusedError():
            lines = [(error.code, refusal) for refusal in error.refusals]
            lines.append((error.code, "nothing was applied"))
        case PlatformEventsError():
            lines = [(error.code, str(error))]
            status = WRONG_USAGE if isinstance(error, UsageError) else FAILED
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            lines = [(InputOutputError.code, f"{place}{error.strerror or error}")]
        case _:
            lines = [("INTERNAL", _explain_defect(error))]
    _tell(f"error: {code}: {one_line(text)}" for code, text in lines)
    _tell_excerpt(getattr(error, "excerpt", ""))
    return status


def one_line(text: str) -> str:
    """Return `text` with its line breaks as spaces."""
    return " ".join(text.splitlines())


def _tell_problems(error: DefinitionsError) -> None:
    for problem in error.problems:
        _tell([f"error: {error.code}: {one_line(str(problem))}"])
        _tell_excerpt(problem.excerpt)


def _tell_excerpt(excerpt: str) -> None:
    _tell(f"    {line}" for line in excerpt.splitlines())


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, err=True)


def _explain_defect(error: Exception) -> str:
    return (
        f"{type(error).__name__}: {error}; this is a defect of platform-events, "
        f"{DEBUG_VARIABLE}=1 shows where"
    )


def _explain_usage(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    if isinstance(error, click.NoSuchOption):
        text = f"there is no option {error.option_name}"
        if context is not None and error.option_name in _program_options(context):
            path = context.command_path.split(" ", 1)
            return f"{text} here; it goes first: {path[0]} {error.option_name} ... {path[-1]}"
        text += _guess(error.possibilities)
    else:
        text = error.format_message().rstrip(".")
        text = text[:1].lower() + text[1:]
    return f"{text} (see {context.command_path} --help)" if context is not None else text


def _program_options(context: click.Context) -> set[str]:
    if context.parent is None:
        return set()
    return {name for option in context.find_root().command.params for name in option.opts}


def _guess(possibilities: Iterable[str] | None) -> str:
    names = list(possibilities or ())
    return f"; did you mean {' or '.join(names)}?" if names else ""
