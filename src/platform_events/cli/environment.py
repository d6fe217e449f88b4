"""Variables of a file `.env`, as many tools for development read it."""

from __future__ import annotations

import os
from pathlib import Path

from platform_events.cli.terminal.failures import InputOutputError
from platform_events.errors import ConfigurationError
from platform_events.variables import PREFIX

_FILE = Path(".env")


def read_env_file() -> None:
    """Take `PLATFORM_EVENTS_*` from `.env` in the working directory; the environment wins.

    Values are taken as they are written: nothing in them is replaced.

    Raises:
        InputOutputError: the file is there and cannot be read.
        ConfigurationError: a line of ours is none that such a file may have.
    """
    if not _FILE.is_file():
        return
    try:
        text = _FILE.read_text(encoding="utf-8")
    except OSError as error:
        raise InputOutputError(f"{_FILE}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputOutputError(f"{_FILE}: it is not UTF-8: {error}") from error
    for name, value in _values(text).items():
        os.environ.setdefault(name, value)


def _values(text: str) -> dict[str, str]:
    from io import StringIO

    from dotenv.parser import parse_stream  # not for every command

    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        place = f"{_FILE}:{binding.original.line}"
        if binding.error and PREFIX in binding.original.string:
            raise ConfigurationError(f"{place}: write {PREFIX}...=VALUE on one line")
        if binding.key is None or binding.value is None or not binding.key.startswith(PREFIX):
            continue
        if "\0" in binding.value:
            raise ConfigurationError(f"{place}: {binding.key} has a NUL character")
        values[binding.key] = binding.value
    return values
