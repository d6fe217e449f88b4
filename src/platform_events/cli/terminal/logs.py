"""The lines of a log: each with its time in UTC and its level."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.variables import LogFormat

_HANDLER = "platform-events-log"
_OF_ALL_RECORDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_unexpected = logging.getLogger("platform_events.program")


def begin_log(form: LogFormat, level: int) -> None:
    """Write what this process logs to stderr, other libraries' warnings too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.name = _HANDLER
    handler.setLevel(level)
    handler.setFormatter(_JsonLines() if form == "json" else _TextLines())
    end_log()
    logging.getLogger().addHandler(handler)
    logging.getLogger("platform_events").setLevel(level)
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_uncaught


def end_log() -> None:
    """Take back what `begin_log` did to the root logger."""
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if one.name != _HANDLER]


def is_logging() -> bool:
    """Whether this process writes a log."""
    return any(one.name == _HANDLER for one in logging.getLogger().handlers)


class _TextLines(logging.Formatter):
    """For people. The lines of a traceback begin like the first one."""

    def format(self, record: logging.LogRecord) -> str:
        begin = f"{_time(record)} {record.levelname:<7} "
        return "\n".join(begin + line for line in self._lines(record))

    def _lines(self, record: logging.LogRecord) -> Iterator[str]:
        first, *others = record.getMessage().splitlines() or [""]
        # A failure's code is in its message.
        fields = [f"{name}={value}" for name, value in _fields(record).items() if name != "code"]
        yield " ".join([first, *fields])
        yield from others
        if record.exc_info:
            yield from self.formatException(record.exc_info).splitlines()


class _JsonLines(logging.Formatter):
    """For programs: one JSON object on each line.

    Keys: `time` (ISO 8601, UTC), `level`, `logger`, `message`; what else the record has, such as
    `code` of a failure and `event_id` of an event; `traceback` of a defect.
    """

    def format(self, record: logging.LogRecord) -> str:
        document = _fields(record) | {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record was given as `extra`."""
    return {name: value for name, value in vars(record).items() if name not in _OF_ALL_RECORDS}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _log_uncaught(failure: threading.ExceptHookArgs) -> None:
    name = failure.thread.name if failure.thread else "a thread"
    error = failure.exc_value
    _unexpected.error("%s ended: %r", name, error, exc_info=error)
