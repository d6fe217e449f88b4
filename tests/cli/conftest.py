from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from platform_events.cli.program import program
from platform_events.settings import Settings
from tests.support import KEYED, ORDER, apply_texts

Cli = Callable[..., Result]
Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Undo what the program does to logging, for the tests that come after in this process."""
    names = (None, "platform_events", "platform_events.kafka")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    uncaught = threading.excepthook
    yield
    logging.captureWarnings(capture=False)
    threading.excepthook = uncaught
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_as_before: None) -> Cli:
    """Run a command line inside this process, in an empty directory and without a broker."""
    for name in [name for name in os.environ if name.startswith("PLATFORM_EVENTS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PLATFORM_EVENTS_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    workplace = tmp_path / "workplace"
    workplace.mkdir()
    monkeypatch.chdir(workplace)

    def run(*arguments: Any) -> Result:
        words = [str(argument) for argument in arguments]
        return CliRunner().invoke(program, words, prog_name="platform-events")

    return run


@pytest.fixture
def live(cli: Cli, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """As `cli`, with a broker and a tenant in which nothing is defined."""
    monkeypatch.setenv("PLATFORM_EVENTS_BOOTSTRAP_SERVERS", settings.bootstrap_servers)
    monkeypatch.setenv("PLATFORM_EVENTS_TENANT", settings.tenant)
    return cli


@pytest.fixture
def bus_cli(live: Cli, settings: Settings, tmp_path: Path) -> Cli:
    """As `live`; Order_Placed__e (one partition) and Reading_Taken__e (three) exist."""
    apply_texts(settings, tmp_path / "applied", ORDER, KEYED)
    return live


@pytest.fixture
def spawn(cli: Cli) -> Iterator[Spawn]:
    """Run a command line as a process of its own, in the directory and environment of `cli`."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(
            [sys.executable, "-m", "platform_events.cli", *arguments], **(streams | options)
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()
