"""What a command says when it fails, and the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from platform_events.cli.terminal.messages import (
    DEBUG_VARIABLE,
    is_debugging,
    report,
    show_traceback,
)
from platform_events.errors import (
    DefinitionsError,
    EventTooLargeError,
    PlanRefusedError,
    PlatformEventsError,
    UndecodableRecordError,
    UsageError,
    WorkerStoppedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from platform_events.filters import FilterError

FAILED = 1
WRONG_USAGE = 2
STOPPED = 3
"""A worker ended because its policy says so."""


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


def report_failure(error: Exception) -> int:
    """Tell the user what went wrong, one line for each thing, and return the exit status."""
    if is_debugging():
        show_traceback(error)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return WRONG_USAGE
    for code, text, excerpt in _findings(error):
        report(code, one_line(text), excerpt)
    if isinstance(error, UsageError | click.ClickException):
        return WRONG_USAGE
    return STOPPED if isinstance(error, WorkerStoppedError) else FAILED


def _findings(error: Exception) -> list[tuple[str, str, str]]:
    """Return a code, a text, and the place in what the user wrote, if there is one, of each."""
    match error:
        case click.ClickException():
            return [("USAGE", _explain_usage(error), "")]
        case click.Abort():
            return [("INTERRUPTED", "ended at the question; nothing was changed", "")]
        case DefinitionsError():
            return [(error.code, str(problem), problem.excerpt) for problem in error.problems]
        case PlanRefusedError():
            texts = (*error.refusals, "nothing was applied")
            return [(error.code, text, "") for text in texts]
        case PlatformEventsError():
            return [(error.code, str(error), getattr(error, "excerpt", ""))]
        case OSError():
            place = f"{error.filename}: " if error.filename else ""
            return [(InputOutputError.code, f"{place}{error.strerror or error}", "")]
        case _:
            return [("INTERNAL", _explain_defect(error), "")]


def one_line(text: str) -> str:
    """Return `text` with its line breaks as spaces."""
    return " ".join(text.splitlines())


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
