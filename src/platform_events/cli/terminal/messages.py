"""What a process says on stderr: plainly to whoever typed the command, or as a log.

A log has the time and the level on every line. Long-running commands log; with
`PLATFORM_EVENTS_LOG_FORMAT` set, all commands do.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

import click

from platform_events.variables import PREFIX, LogFormat, LogLevel

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORMAT_VARIABLE = f"{PREFIX}LOG_FORMAT"
_LEVEL_VARIABLE = f"{PREFIX}LOG_LEVEL"
DEBUG_VARIABLE = f"{PREFIX}DEBUG"
"""Set to anything: tracebacks, and what the Kafka clients log."""
_LOG, _PLAIN = "platform-events-log", "platform-events-plain"
"""Names of the handlers that this module adds."""
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
    if os.environ.get(_FORMAT_VARIABLE) in get_args(LogFormat):
        begin_log()
    else:
        _begin(_library, _Plain())


def begin_log() -> None:
    """Log from now on, in the format and from the level on that the environment says.

    A value that is none is passed over here; settings refuse it.
    """
    level = os.environ.get(_LEVEL_VARIABLE, "info")
    _library.setLevel(level.upper() if level in get_args(LogLevel) else logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.name = _LOG
    is_json = os.environ.get(_FORMAT_VARIABLE) == "json"
    handler.setFormatter(JsonLines() if is_json else TextLines())
    # Other libraries' warnings are in the same form.
    _begin(logging.getLogger(), handler)


def note(message: str) -> None:
    """Tell the user something on stderr."""
    if _logs():
        _program.info("%s", message)
    else:
        click.echo(message, err=True)


def report(code: str, text: str, excerpt: str = "") -> None:
    """Say what has gone wrong, in one line.

    Args:
        code: of the error; a log has it in a field of its own.
        text: what, and what to do.
        excerpt: the place in a text, to be shown below to people; a log does not have it.
    """
    if _logs():
        _program.error("%s: %s", code, text, extra={"code": code})
        return
    click.echo(f"error: {code}: {text}", err=True)
    for line in excerpt.splitlines():
        click.echo(f"    {line}", err=True)


def _logs() -> bool:
    return any(one.name == _LOG for one in logging.getLogger().handlers)


def _begin(logger: logging.Logger, handler: logging.Handler) -> None:
    for other in (_library, logging.getLogger()):
        other.handlers = [one for one in other.handlers if one.name not in (_LOG, _PLAIN)]
    logger.addHandler(handler)


class _Plain(logging.Handler):
    """Shows the library's warnings on stderr; one that repeats itself only once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.name = _PLAIN
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message != self._last:
            self._last = message
            click.echo(f"{record.levelname.lower()}: {message}", err=True)


class TextLines(logging.Formatter):
    """Log lines for people: time in UTC, level, message. A traceback's lines begin alike."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines."""
        begin = f"{_time(record)} {record.levelname:<7} "
        return "\n".join(begin + line for line in _lines(record, self))


class JsonLines(logging.Formatter):
    """Log lines for programs: one JSON object each.

    Keys: `time` (ISO 8601, UTC), `level`, `logger`, `message`; `code` of a failure, `traceback` of
    a defect.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        document = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if code := getattr(record, "code", ""):
            document["code"] = code
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=True)


def _lines(record: logging.LogRecord, formatter: logging.Formatter) -> Iterable[str]:
    yield from record.getMessage().splitlines()
    if record.exc_info:
        yield from formatter.formatException(record.exc_info).splitlines()


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
