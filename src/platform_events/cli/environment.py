"""Variables of a file `.env`, as many tools for development read it."""

from __future__ import annotations

import os
from pathlib import Path

from platform_events.cli.terminal.failures import InputOutputError

_FILE = Path(".env")
_PREFIX = "PLATFORM_EVENTS_"


def read_env_file() -> None:
    """Take `PLATFORM_EVENTS_*` from `.env` in the working directory; the environment wins.

    Raises:
        InputOutputError: the file is there and cannot be read.
    """
    if not _FILE.is_file():
        return
    from dotenv import dotenv_values  # not for every command

    try:
        values = dotenv_values(_FILE)
    except OSError as error:
        raise InputOutputError(f"{_FILE}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputOutputError(f"{_FILE}: it is not UTF-8: {error}") from error
    for name, value in values.items():
        if name.startswith(_PREFIX) and value is not None:
            os.environ.setdefault(name, value)
