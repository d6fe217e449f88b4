"""What commands say on stderr: plain messages, or the lines of a log."""

from __future__ import annotations

import json
import logging
import re
import threading
from pathlib import Path

import pytest

from platform_events.cli.terminal.messages import begin_messages, log_messages, note, report
from tests.cli.conftest import Cli

TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
logger = logging.getLogger("platform_events")


@pytest.fixture(autouse=True)
def quiet(logging_as_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOG_FORMAT", "LOG_LEVEL", "DEBUG"):
        monkeypatch.delenv(f"PLATFORM_EVENTS_{name}", raising=False)


def fail() -> None:
    try:
        int("this\nand that")
    except ValueError:
        logger.exception("a defect")


def test_messages_are_plain_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    begin_messages()
    note("done")
    logger.info("not for people")
    for _ in range(2):
        logger.warning("twice is once")
    report("USAGE", "wrong", "fields: []\n^")
    assert capsys.readouterr().err.splitlines() == [
        "done",
        "warning: twice is once",
        "error: USAGE: wrong",
        "    fields: []",
        "    ^",
    ]


def test_every_line_of_a_log_has_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    begin_messages()
    log_messages()
    note("done")
    logger.warning("odd")
    report("USAGE", "wrong", "fields: []\n^")
    fail()
    logging.getLogger("another.library").warning("theirs")
    lines = capsys.readouterr().err.splitlines()
    assert all(re.match(rf"{TIME} (INFO|WARNING|ERROR) +\S", line) for line in lines)
    said = [re.sub(rf"^{TIME} (\w+) +", r"\1 ", line) for line in lines]
    assert said[:4] == ["INFO done", "WARNING odd", "ERROR USAGE: wrong", "ERROR a defect"]
    assert any("ValueError" in line for line in said)
    assert said[-1] == "WARNING theirs"


def test_a_log_for_programs_is_an_object_in_each_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_LOG_FORMAT", "json")
    begin_messages()
    note("doné")
    report("USAGE", "wrong")
    fail()
    done, wrong, defect = map(json.loads, capsys.readouterr().err.splitlines())
    assert re.fullmatch(TIME, done.pop("time"))
    assert done == {"level": "info", "logger": "platform_events.program", "message": "doné"}
    assert (wrong["level"], wrong["code"], wrong["message"]) == ("error", "USAGE", "USAGE: wrong")
    assert "ValueError" in defect["traceback"]


def test_the_level_is_a_setting(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_LOG_LEVEL", "ERROR")
    log_messages()
    note("not said")
    logging.getLogger("another.library").warning("not said")
    logger.error("said")
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == ["said"]


def test_what_ends_a_thread_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    log_messages()
    thread = threading.Thread(target=lambda: int("no"), name="worker")
    thread.start()
    thread.join()
    first, *rest = capsys.readouterr().err.splitlines()
    assert re.match(rf"{TIME} ERROR   worker ended: ValueError", first)
    assert all(re.match(TIME, line) for line in rest)


def test_a_command_that_fails_says_it_in_the_format(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_LOG_FORMAT", "json")
    Path("A__e.yaml").write_text("event: A__e\nfileds: []\n")
    result = cli("check", ".")
    assert result.exit_code == 1
    assert {json.loads(line)["code"] for line in result.stderr.splitlines()} == {
        "INVALID_DEFINITIONS"
    }


def test_a_format_that_is_none_is_refused_plainly(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_LOG_FORMAT", "xml")
    result = cli("streams")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "error: CONFIGURATION: setting 'log_format' (PLATFORM_EVENTS_LOG_FORMAT)"
    )
