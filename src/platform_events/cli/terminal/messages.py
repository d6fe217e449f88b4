"""What a process says on stderr: plainly to whoever typed the command, or as a log.

Long-running commands log; with `PLATFORM_EVENTS_LOG_FORMAT` set, all commands do.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import get_args

import click

from platform_events.cli.terminal import logs
from platform_events.variables import PREFIX, LogFormat, LogLevel

_FORMAT_VARIABLE = f"{PREFIX}LOG_FORMAT"
_LEVEL_VARIABLE = f"{PREFIX}LOG_LEVEL"
DEBUG_VARIABLE = f"{PREFIX}DEBUG"
"""Set to anything: tracebacks, and what the Kafka clients log."""
_library = logging.getLogger("platform_events")
_program = logging.getLogger("platform_events.program")


def is_debugging() -> bool:
    """Whether the user asked for details of failures."""
    return bool(os.environ.get(DEBUG_VARIABLE))


def begin_messages() -> None:
    """Let the library's warnings be seen; as a log if the environment says so."""
    if not is_debugging():
        # What librdkafka says about connections is in our errors, once and in words.
        logging.getLogger("platform_events.kafka").setLevel(logging.CRITICAL + 1)
    if _given(_FORMAT_VARIABLE) in get_args(LogFormat):
        log_messages()
    else:
        logs.end_log()
        _show_plainly(_Warnings())


def log_messages() -> None:
    """Log from now on, in the format and from the level on that the environment says.

    A value that is none is passed over here; settings refuse it.
    """
    level = _given(_LEVEL_VARIABLE)
    _show_plainly(None)
    logs.begin_log(
        "json" if _given(_FORMAT_VARIABLE) == "json" else "text",
        logging.getLevelName(level.upper()) if level in get_args(LogLevel) else logging.INFO,
    )


def note(message: str) -> None:
    """Tell the user something on stderr."""
    if logs.is_logging():
        _program.info("%s", message)
    else:
        click.echo(message, err=True)


def report(code: str, text: str, excerpt: str = "") -> None:
    """Say what has gone wrong, in one line.

    Args:
        code: of the error; a log for programs has it in a field of its own too.
        text: what, and what to do.
        excerpt: the place in a text, to be shown below to people; a log does not have it.
    """
    if logs.is_logging():
        _program.error("%s: %s", code, text, extra={"code": code})
        return
    click.echo(f"error: {code}: {text}", err=True)
    for line in excerpt.splitlines():
        click.echo(f"    {line}", err=True)


def show_traceback(error: Exception) -> None:
    """Show where an error came from."""
    if logs.is_logging():
        _program.error("%r", error, exc_info=error)
    else:
        traceback.print_exception(error, file=sys.stderr)


def _given(variable: str) -> str:
    return os.environ.get(variable, "").lower()


def _show_plainly(handler: logging.Handler | None) -> None:
    _library.handlers = [one for one in _library.handlers if not isinstance(one, _Warnings)]
    if handler is not None:
        _library.addHandler(handler)


class _Warnings(logging.Handler):
    """Shows the library's warnings on stderr; one that repeats itself only once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message != self._last:
            self._last = message
            click.echo(f"{record.levelname.lower()}: {message}", err=True)
