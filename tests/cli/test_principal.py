"""`platform-events principal`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from platform_events.cli.program import program
from platform_events.service.principals_file import load_principals
from tests.cli.conftest import Cli

FILE = ("--principals", "p.yaml")


def test_a_secret_is_printed_once_and_kept_as_a_hash(cli: Cli) -> None:
    result = cli(
        "principal", "add", "billing", *FILE, "--tenant", "shop", "--allow", "publish",
        "--streams", "Order_*",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    secret = result.stdout.strip()
    assert secret not in Path("p.yaml").read_text()
    principal = load_principals(Path("p.yaml"))["billing"]
    assert principal.credential.matches(secret)
    assert principal.may("publish", "Order_Placed__e")
    assert not principal.may("subscribe", "Order_Placed__e")


def test_a_password_is_taken_from_stdin_and_not_printed(cli: Cli) -> None:
    words = ["principal", "add", "me", *FILE, "--tenant", "shop", "--password"]
    result = CliRunner().invoke(program, words, input="correct horse battery\n")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert "which may do nothing yet" in result.stderr
    principal = load_principals(Path("p.yaml"))["me"]
    assert principal.credential.is_slow
    assert principal.credential.matches("correct horse battery")


def test_they_are_listed_and_disabled(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_SERVE_PRINCIPALS", "p.yaml")
    cli("principal", "add", "billing", "--tenant", "shop", "--allow", "subscribe")
    assert cli("principal", "disable", "billing").exit_code == 0
    listed = cli("principal", "list")
    assert listed.stdout.split() == [
        "NAME", "TENANT", "MAY", "STATE", "billing", "shop", "subscribe", "*", "disabled",
    ]  # fmt: skip
    (document,) = json.loads(cli("principal", "list", "--json").stdout)
    assert document == {
        "name": "billing",
        "tenant": "shop",
        "credential": "secret",
        "rights": [{"allow": ["subscribe"], "streams": "*"}],
        "disabled": True,
    }


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["add", "a b", *FILE, "--tenant", "shop"], 2, "USAGE: 'a b' cannot name a principal"),
        (["add", "a", *FILE, "--tenant", "A"], 2, "USAGE: --tenant 'A' cannot name a tenant"),
        (["add", "a", *FILE, "--tenant", "a", "--streams", "/event/A"], 2, "USAGE: --streams"),
        (["add", "a", *FILE, "--tenant", "a", "--password"], 2, "at least 12 characters"),
        (["add", "a", "--tenant", "a"], 2, "--principals"),
        (["list", *FILE], 1, "SERVICE: p.yaml cannot be read"),
        (["disable", "a", *FILE], 1, "SERVICE: p.yaml cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line(cli: Cli, arguments: list[str], status: int, says: str) -> None:
    result = cli("principal", *arguments)
    assert result.exit_code == status
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("p.yaml").exists()


def test_a_wrong_file_is_said_with_the_place(cli: Cli) -> None:
    Path("p.yaml").write_text("- name: 1\n")
    result = cli("principal", "list", *FILE)
    assert result.exit_code == 1
    assert "INVALID_DEFINITIONS: p.yaml:1:9: [0].name" in result.stderr
