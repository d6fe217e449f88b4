"""What holds for every command: help, wrong usage, failures, start-up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

import platform_events
from platform_events.bus.bus import EventBus
from platform_events.cli.arguments import looks_like_id
from platform_events.cli.program import program
from platform_events.cli.views import streams as streams_module
from platform_events.definitions.schema import schema_id_from_guid
from tests.support import KEYED, ORDER
from tests.workers.journals import subscribe

COMMANDS = [
    "init", "up", "demo", "import", "check", "plan", "apply", "publish", "subscribe", "streams",
    "describe", "subscriptions", "dead-letters", "serve", "principal", "route", "work", "schema",
    "filter", "replay-id", "completion",
]  # fmt: skip
HEAVY = (
    "confluent_kafka",
    "fastavro",
    "avro",
    "dotenv",
    "pydantic",
    "rich",
    "ruamel.yaml",
    "lark",
    "urllib.request",
    "starlette",
    "uvicorn",
    "grpc",
    "google.protobuf",
    "cryptography",
)


def all_commands() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    context = click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {sub}": entry for sub, entry in command.commands.items()}
        else:
            found[name] = command
    return found


def test_help_lists_the_commands_in_order(cli: Any) -> None:
    result = cli("--help")
    assert result.exit_code == 0
    listed = result.stdout.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in listed] == COMMANDS
    assert all(len(line.split(maxsplit=1)[1]) > 10 for line in listed)


@pytest.mark.parametrize("path", all_commands())
def test_help_of_a_command_explains_and_shows_an_example(cli: Any, path: str) -> None:
    result = cli(*path.split(), "--help")
    assert result.exit_code == 0
    assert "Examples:\n  platform-events " in result.stdout or "Examples:\n  e" in result.stdout
    assert path in result.stdout.split("Examples:")[1]


def test_commands_import_nothing_heavy_before_they_run() -> None:
    # The package's own __init__ is left out: it imports what it exports.
    script = f"""
import sys, types
package = types.ModuleType("platform_events")
package.__path__ = {list(platform_events.__path__)!r}
sys.modules["platform_events"] = package
import click
from platform_events.cli.program import program
before = set(sys.modules)
assert not any(name.startswith("platform_events.bus") for name in before)
context = click.Context(program)
for name in program.list_commands(context):
    program.get_command(context, name)
heavy = [name for name in sys.modules if name.startswith({HEAVY!r})]
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_version(cli: Any) -> None:
    assert cli("--version").stdout.startswith("platform-events 0.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["strems"], "there is no command 'strems'; did you mean streams?"),
        (["streams", "--jsno"], "there is no option --jsno; did you mean --json?"),
        (["subscribe", "A__e", "--no-folow"], "did you mean --no-follow or --follow?"),
        (["streams", "--tenant", "x"], "it goes first: platform-events --tenant ... streams"),
        (["schema", "show"], "missing argument 'NAME|ID'"),
        (["schema", "sow"], "no such command 'sow'"),
        (["subscribe", "A__e", "--max", "0"], "--max"),
        (["subscribe", "A__e", "--on-expired", "later"], "'later' is not one of"),
        (["subscribe", "A__e", "extra"], "unexpected extra argument"),
        (["publish", "A__e", "nowhere.ndjson"], "nowhere.ndjson"),
        (["publish", "A__e", "."], "is a directory"),
        (["publish", "A__e", "--header", "x"], "'x' is not NAME=VALUE"),
        (["check", "--against", "main"], "is not git:REF"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
        (["schema", "show", "Order_Placed"], "neither an event's name"),
        (["schema", "show", "-abc"], "neither an event's name"),
        (["schema", "show", "--jso"], "did you mean --json?"),
        (["replay-id", "inspect", "--jso", "AAAAAAAAAAA"], "did you mean --json?"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_status_2(cli: Any, arguments: list[str], says: str) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: USAGE: ")
    assert says in lines[0]


@pytest.mark.parametrize("name", ["KAFKA_PORT", "HTTP_PLAIN_PORT"])
@pytest.mark.parametrize("value", ["seven", "0", "65536"])
def test_a_wrong_port_in_a_variable_is_one_line_and_status_2(
    cli: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"PLATFORM_EVENTS_UP_{name}", value)
    result = cli("up")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: USAGE: invalid value for ")
    assert f"PLATFORM_EVENTS_UP_{name}" in line
    assert value in line


def test_no_command_shows_help_as_wrong_usage(cli: Any) -> None:
    result = cli()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr
    assert result.stdout == ""


def test_a_bad_setting_is_one_line(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = cli("--tenant", "NO!", "streams")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: CONFIGURATION: tenant 'NO!' is not allowed")
    monkeypatch.setenv("PLATFORM_EVENTS_LINGER", "soon")
    result = cli("streams")
    assert result.stderr.startswith("error: CONFIGURATION: ")
    assert "PLATFORM_EVENTS_LINGER" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DELIVERY_TIMEOUT", "inf"),
        ("KAFKA", ""),
        ("REPLICATION_FACTOR", "0"),
        ("REQUEST_TIMEOUT", "nan"),
    ],
)
def test_no_setting_is_a_defect_of_the_program(
    cli: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"PLATFORM_EVENTS_{name}", value)
    result = cli("streams")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: CONFIGURATION: ")
    assert f"PLATFORM_EVENTS_{name}" in line


def test_a_misspelt_variable_is_a_warning(spawn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_TENNANT", "shop")
    monkeypatch.setenv("PLATFORM_EVENTS_KAFKA__ACKS", "1")
    warning, error = spawn("streams").communicate()[1].decode().splitlines()
    assert warning.startswith("warning: no setting is read from ")
    assert "PLATFORM_EVENTS_TENNANT' (did you mean PLATFORM_EVENTS_TENANT?)" in warning
    assert error.startswith("error: CONFIGURATION: Kafka property acks cannot be set")


def test_an_unreachable_broker_is_one_line(cli: Any) -> None:
    result = cli("streams")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: BROKER_UNREACHABLE: ")
    assert "127.0.0.1:1" in lines[0]


def test_the_option_for_the_servers_beats_the_environment(cli: Any) -> None:
    assert "127.0.0.1:2" in cli("--bootstrap-servers", "127.0.0.1:2", "streams").stderr


def test_a_defect_is_one_line_and_shows_its_place_on_demand(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("two\nlines")

    monkeypatch.setattr(streams_module, "describe_streams", fail)
    result = cli("streams")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: INTERNAL: KeyError: ")
    assert "PLATFORM_EVENTS_DEBUG=1" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    monkeypatch.setenv("PLATFORM_EVENTS_DEBUG", "1")
    result = cli("streams")
    assert "Traceback" in result.stderr
    assert "in fail" in result.stderr


@given(st.binary(min_size=16, max_size=16))
def test_every_schema_id_with_a_dash_is_an_argument(guid: bytes) -> None:
    schema_id = schema_id_from_guid(guid)
    assert looks_like_id("-" + schema_id[1:])
    assert looks_like_id("--" + schema_id[2:])
    assert looks_like_id("-" + schema_id[1:] + "==")
    assert not looks_like_id("A" + schema_id[1:])


def test_no_option_is_taken_for_an_id() -> None:
    commands = [program, *all_commands().values()]
    names = {name for command in commands for option in command.params for name in option.opts}
    options = {name for name in names if name.startswith("-")} | {"-h", "--help", "--", "-"}
    assert "--bootstrap-servers" in options
    assert [name for name in options if looks_like_id(name)] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(cli: Any, shell: str) -> None:
    result = cli("completion", shell)
    assert result.exit_code == 0
    assert "_PLATFORM_EVENTS_COMPLETE" in result.stdout


def test_completion_without_a_broker_is_silent(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = complete(cli, monkeypatch, "platform-events subscribe Or")
    assert result.output.strip() == ""
    monkeypatch.setenv("PLATFORM_EVENTS_TENANT", "NO!")
    result = complete(cli, monkeypatch, "platform-events subscribe Or")
    assert result.output.strip() == ""


def test_completion_knows_commands_and_options(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complete(cli, monkeypatch, "platform-events sub").stdout.split() == [
        "plain,subscribe",
        "plain,subscriptions",
    ]
    options = complete(cli, monkeypatch, "platform-events subscribe A__e --on").stdout
    assert options.split() == ["plain,--on-expired", "plain,--on-undecodable"]


def test_completion_of_streams(bus_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    line = "platform-events subscribe Or"
    assert complete(bus_cli, monkeypatch, line).stdout == "plain,Order_Placed__e\n"
    line = "platform-events subscribe /event/"
    names = complete(bus_cli, monkeypatch, line).stdout.split()
    assert names == ["plain,/event/Order_Placed__e", "plain,/event/Reading_Taken__e"]


def test_completion_of_subscriptions_and_of_what_has_dead_letters(
    bus_cli: Any, bus: EventBus, define: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(bus)
    subscribe(bus, name="mail")
    line = "platform-events subscriptions show b"
    assert complete(bus_cli, monkeypatch, line).stdout == "plain,billing\n"
    define(ORDER, KEYED, "channel: Bills__chn\nmembers: [{event: Order_Placed__e}]\n")
    for begun, name in (("b", "billing"), ("B", "Bills__chn")):
        line = f"platform-events dead-letters list {begun}"
        assert complete(bus_cli, monkeypatch, line).stdout == f"plain,{name}\n"
    line = "platform-events dead-letters redrive m"
    assert complete(bus_cli, monkeypatch, line).stdout == "plain,mail\n"


def complete(cli: Any, monkeypatch: pytest.MonkeyPatch, line: str) -> Any:
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    monkeypatch.setenv("_PLATFORM_EVENTS_COMPLETE", "bash_complete")
    result = cli()
    monkeypatch.delenv("_PLATFORM_EVENTS_COMPLETE")
    return result


PRINTING = (["init"], ["--help"], ["--version"], ["streams", "--help"], ["completion", "bash"], [])


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def full(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[BinaryIO]:
    """A file that takes nothing, with either kind of Python's own streams."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)
    with Path("/dev/full").open("wb") as file:
        yield file


def test_stdout_that_is_full_or_closed_is_one_line(
    spawn: Any, full: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbuffered = bool(os.environ["PYTHONUNBUFFERED"])
    for arguments in PRINTING[:2] if unbuffered else PRINTING:
        if not arguments:  # what a shell runs for completion
            monkeypatch.setenv("_PLATFORM_EVENTS_COMPLETE", "bash_source")
        for options in ({"stdout": full}, {"preexec_fn": partial(os.close, 1)}):
            process = spawn(*arguments, **options)
            _, error = process.communicate()
            assert process.returncode == 1, arguments
            assert error.startswith(b"error: IO: stdout cannot be written: ")
            assert len(error.splitlines()) == 1
            shutil.rmtree("schemas", ignore_errors=True)  # what init wrote


def test_stderr_that_is_full_or_closed_changes_nothing_else(spawn: Any, full: BinaryIO) -> None:
    for options in ({"stderr": full}, {"preexec_fn": partial(os.close, 2)}):
        process = spawn("init", **options)
        assert "project.yaml" in process.communicate()[0].decode()
        assert process.returncode == 0
        shutil.rmtree("schemas")
        process = spawn("nonsense", **options)
        assert process.communicate()[0] == b""
        assert process.returncode == 2
