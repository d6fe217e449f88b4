"""Variables of `.env` in the working directory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def variables(cli: Any) -> dict[str, str]:
    """The environment of `cli`, without the cluster's address."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("PLATFORM_EVENTS_")
    }


def run(spawn: Any, env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    process = spawn(*arguments, env=env)
    output, errors = process.communicate(timeout=60)
    return process.returncode, output.decode(), errors.decode()


def test_commands_take_what_is_theirs_and_the_environment_wins(
    bus_cli: Any, spawn: Any, settings: Any, variables: dict[str, str]
) -> None:
    Path(".env").write_text(
        "# for development\n"
        f"export PLATFORM_EVENTS_BOOTSTRAP_SERVERS='{settings.bootstrap_servers}'\n"
        f"PLATFORM_EVENTS_TENANT={settings.tenant}\n"
        "PLATFORM_EVENTS_LINGER\n"
        "LC_ALL=nonsense\nPATH=\nDATABASE_URL=postgres://shop\n",
        encoding="utf-8",
    )
    status, output, errors = run(spawn, variables, "streams", "--json")
    assert (status, errors) == (0, "")
    assert len(json.loads(output)) == 2
    elsewhere = variables | {"PLATFORM_EVENTS_TENANT": "another"}
    status, output, errors = run(spawn, elsewhere, "streams")
    assert (status, output) == (0, "")
    assert errors.startswith("tenant 'another' has no streams")


def test_what_is_wrong_there_is_said_as_of_any_variable(
    spawn: Any, variables: dict[str, str]
) -> None:
    Path(".env").write_text("PLATFORM_EVENTS_LINGER=soon\nPLATFORM_EVENTS_TENNANT=shop\n")
    status, _, errors = run(spawn, variables, "streams")
    assert status == 1
    assert "PLATFORM_EVENTS_LINGER" in errors
    assert "did you mean PLATFORM_EVENTS_TENANT?" in errors


def test_values_are_taken_as_they_are(spawn: Any, variables: dict[str, str]) -> None:
    Path(".env").write_text("X=1\nPLATFORM_EVENTS_TENANT=a${X}b\n")
    assert "'a${X}b'" in run(spawn, variables, "streams")[2]


@pytest.mark.parametrize("line", ["PLATFORM_EVENTS_TENANT='shop", "PLATFORM_EVENTS_TENANT=a\0b"])
def test_a_line_that_is_none_is_named(spawn: Any, variables: dict[str, str], line: str) -> None:
    Path(".env").write_text(f"OTHER='also bad\n{line}\n")
    status, _, errors = run(spawn, variables, "check", "none")
    assert status == 1
    assert errors.startswith("error: CONFIGURATION: .env:")
    assert len(errors.splitlines()) == 1
    completing = variables | {
        "_PLATFORM_EVENTS_COMPLETE": "bash_complete",
        "COMP_WORDS": "",
        "COMP_CWORD": "0",
    }
    assert run(spawn, completing)[2] == ""


def test_a_file_that_cannot_be_read_is_one_line(spawn: Any, variables: dict[str, str]) -> None:
    Path(".env").write_bytes(b"PLATFORM_EVENTS_TENANT=\xff\n")
    status, _, errors = run(spawn, variables, "check", "none")
    assert status == 1
    assert errors.startswith("error: IO: .env: it is not UTF-8")
    assert len(errors.splitlines()) == 1
    Path(".env").unlink()
    Path(".env").mkdir()
    assert "IO: .env" not in run(spawn, variables, "check", "none")[2]
