"""`dead-letters`: looked at, redriven and discarded."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
from datetime import timedelta
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.event import EPOCH, Event
from platform_events.cli.commands.dead_letters import _REASONS
from platform_events.cli.terminal.progress import CountProgress
from platform_events.settings import Settings
from platform_events.workers.dead_letter import Letter, letter_record
from platform_events.workers.policy import Reason
from platform_events.workers.router_letters import UNROUTABLE
from tests.channels.routing import Define, await_caught_up, routing
from tests.channels.samples import NAME as CHANNEL
from tests.channels.samples import A, channel
from tests.support import consume_raw, produce_raw, wait_until
from tests.workers.journals import NAME, ORDERS, letter, read, subscribe, write
from tests.workers.plain import working

KEYS = [
    "id", "subscription", "reason", "message", "traceback", "attempts", "first_failure",
    "last_failure", "origin", "event", "status",
]  # fmt: skip


@pytest.fixture
def billing(bus_cli: Any, bus: EventBus) -> Any:
    """As `bus_cli`; billing has the dead letters 0-0 to 0-3, the last of them undecodable."""
    bus.publish_many(ORDERS, [{"order_id": f"A-{number}"} for number in range(3)])
    subscribe(bus)
    events = list(bus.subscribe(ORDERS, follow=False))
    raw = consume_raw(bus.settings, ORDERS, 3)
    for event, record in zip(events, raw, strict=True):
        told = _letter_of(event, record.offset() or 0)
        write(bus, (0, letter_record(told, record.value(), record.headers())))
    headers = [("mine", b"x"), ("odd", b"\xff")]
    odd = letter(3, reason="undecodable", type="", event_id="", schema_id="", attempts=0)
    write(bus, (0, letter_record(odd, b"\x00\xffbad", headers)))
    return bus_cli


def _letter_of(event: Event[Any], offset: int) -> Letter:
    """Return the dead letter of an order, which failed `offset` minutes after 2024 began."""
    failed_ms = 1_704_067_200_000 + 60_000 * offset
    return letter(
        offset,
        status="parked" if offset == 2 else "dead",
        reason="parked" if offset == 2 else "failed",
        message=f"ValueError: order {offset}\nis odd",
        traceback="Traceback\n  line 1",
        event_id=event.event_id,
        schema_id=event.schema_id,
        replay_id=str(event.replay_id),
        stored_ms=(event.published_at - EPOCH) // timedelta(milliseconds=1),
        first_failure_ms=failed_ms - 5,
        last_failure_ms=failed_ms,
    )


def test_list_as_json_has_each_letter_with_its_event(billing: Any) -> None:
    output = billing("dead-letters", "list", NAME, "--json").stdout
    found = json.loads(output)
    assert len(output.splitlines()) == 6
    assert [list(one) for one in found] == [KEYS] * 4
    events = [
        json.loads(line) for line in billing("subscribe", ORDERS, "--no-follow").stdout.splitlines()
    ]
    assert [one["event"] for one in found[:3]] == events
    assert found[1] == {
        "id": "0-1",
        "subscription": NAME,
        "reason": "failed",
        "message": "ValueError: order 1\nis odd",
        "traceback": "Traceback\n  line 1",
        "attempts": 5,
        "first_failure": "2024-01-01T00:00:59.995Z",
        "last_failure": "2024-01-01T00:01:00.000Z",
        "origin": {"stream": f"/event/{ORDERS}", "replay_id": events[1]["replay_id"]},
        "event": events[1],
        "status": "dead",
    }
    assert found[2]["status"] == "parked"


def test_an_event_that_cannot_be_decoded_is_shown_as_bytes(billing: Any) -> None:
    document = json.loads(billing("dead-letters", "show", NAME, "0-3", "--json").stdout)
    assert list(document) == KEYS
    event = document["event"]
    assert event["payload"] is None
    assert base64.b64decode(event.pop("raw_base64")) == b"\x00\xffbad"
    known = json.loads(billing("dead-letters", "show", NAME, "0-0", "--json").stdout)["event"]
    assert list(event) == list(known)
    assert event["headers"] == {"mine": "x", "odd": {"base64": "/w=="}}
    assert event["published_at"] == "1970-01-01T00:00:00.900Z"


def test_list_and_show_for_people(billing: Any) -> None:
    header, *rows = billing("dead-letters", "list", NAME).stdout.splitlines()
    assert header.split() == [
        "ID", "STATUS", "REASON", "TYPE", "ATTEMPTS", "LAST", "FAILURE", "MESSAGE",
    ]  # fmt: skip
    assert [row.split()[:3] for row in rows] == [
        ["0-0", "dead", "failed"],
        ["0-1", "dead", "failed"],
        ["0-2", "parked", "parked"],
        ["0-3", "dead", "undecodable"],
    ]
    assert rows[1].endswith("2024-01-01T00:01:00.000Z  ValueError: order 1 is odd")
    lines = billing("dead-letters", "show", NAME, "0-1").stdout.splitlines()
    facts = dict(line.split("  ", 1) for line in lines[: lines.index("")])
    assert facts["id"].strip() == "0-1"
    assert facts["message"].strip() == "ValueError: order 1 is odd"
    assert lines[lines.index("") + 1 :][:4] == ["Traceback", "  line 1", "", "{"]
    assert '    "order_id": "A-1"' in "\n".join(lines)


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["--reason", "undecodable"], ["0-3"]),
        (["--type", ORDERS], ["0-0", "0-1", "0-2"]),
        (["--since", "2024-01-01T00:01:00Z"], ["0-1", "0-2"]),
        (["--until", "2024-01-01T00:01:00Z", "--type", ORDERS], ["0-0"]),
        (["--since", "1h"], []),
    ],
)
def test_filters(billing: Any, filters: list[str], ids: list[str]) -> None:
    found = json.loads(billing("dead-letters", "list", NAME, *filters, "--json").stdout)
    assert [one["id"] for one in found] == ids
    table = billing("dead-letters", "list", NAME, *filters)
    assert [row.split()[0] for row in table.stdout.splitlines()[1:]] == ids
    assert table.stderr == ("" if ids else f"{NAME} has no such dead letters\n")


def test_redriving(billing: Any, bus: EventBus) -> None:
    result = billing("dead-letters", "redrive", NAME, "0-1", "0-0")
    assert (result.exit_code, result.stdout) == (0, f"2 dead letters of {NAME} redriving\n")
    assert result.stderr.startswith(f"nobody works for {NAME}")
    (journal,) = read(bus)
    assert list(journal.requests) == ["0-0", "0-1"]
    listed = json.loads(billing("dead-letters", "list", NAME, "--json").stdout)
    assert [one["status"] for one in listed] == ["redriving", "redriving", "parked", "dead"]
    # Those that are asked for already count neither as done nor against the limit.
    result = billing("dead-letters", "redrive", NAME, "--max", 1, "--rate", 1000, "--json")
    assert json.loads(result.stdout) == {"subscription": NAME, "redriving": 1}
    assert list(read(bus)[0].requests) == ["0-0", "0-1", "0-2"]
    result = billing("dead-letters", "redrive", NAME, "--reason", "rejected")
    assert (result.stdout, result.stderr) == (f"0 dead letters of {NAME} redriving\n", "")


def test_nothing_is_said_of_workers_that_run(billing: Any, settings: Settings) -> None:
    with working(settings, NAME, ORDERS):
        result = billing("dead-letters", "redrive", NAME, "0-0")
    assert (result.stdout, result.stderr) == (f"1 dead letter of {NAME} redriving\n", "")


def test_an_interrupted_redrive_says_how_many_are_asked_for(
    billing: Any, bus: EventBus, spawn: Any
) -> None:
    process = spawn("dead-letters", "redrive", NAME, "--rate", "0.02")
    wait_until(lambda: len(read(bus)[0].requests) == 1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, b"")
    assert errors == b"interrupted; 1 dead letter asked for, which workers handle\n"


def test_progress_is_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with CountProgress("redrive", 3) as quiet:
        quiet.advance()
    assert quiet._bar is None
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with CountProgress("redrive", 3) as shown:
        shown.advance()
        shown.advance()
        assert shown._bar is not None
        (task,) = shown._bar.tasks
        assert (task.description, task.completed, task.total) == ("redrive", 2, 3)


def test_discarding_asks(billing: Any, bus: EventBus, spawn: Any) -> None:
    result = billing("dead-letters", "discard", NAME)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: USAGE: discards 4 dead letters of {NAME}, with their events: nobody can be asked "
        "without a terminal, confirm with --yes\n"
    )
    ours, theirs = pty.openpty()
    process = spawn("dead-letters", "discard", NAME, "0-0", stdin=theirs)
    os.close(theirs)
    os.write(ours, b"n\n")
    output, errors = process.communicate(timeout=60)
    os.close(ours)
    assert (process.returncode, output) == (1, b"")
    assert b"discards 1 dead letter of billing" in errors
    assert len(read(bus)[0].letters) == 4
    result = billing("dead-letters", "discard", NAME, "0-0", "0-2", "--yes", "--json")
    assert json.loads(result.stdout) == {"subscription": NAME, "discarded": 2}
    result = billing("dead-letters", "discard", NAME, "--reason", "undecodable", "--yes")
    assert result.stdout == f"1 dead letter of {NAME} discarded\n"
    assert list(read(bus)[0].letters) == ["0-1"]
    # Nothing is asked where nothing goes.
    result = billing("dead-letters", "discard", NAME, "--reason", "rejected")
    assert (result.exit_code, result.stdout) == (0, f"0 dead letters of {NAME} discarded\n")


def test_a_subscription_without_dead_letters(bus_cli: Any, bus: EventBus) -> None:
    subscribe(bus)
    result = bus_cli("dead-letters", "list", NAME)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{NAME} has no dead letters\n"
    assert bus_cli("dead-letters", "list", NAME, "--json").stdout == "[]\n"


def test_a_channel_has_what_its_router_could_not_write(
    live: Any, settings: Settings, define: Define
) -> None:
    define(A, channel(CHANNEL, "A__e"))
    name = CHANNEL
    with routing(settings):
        produce_raw(settings, "A__e", b"?", [("mine", b"x")])
        await_caught_up(settings, name)
    (found,) = json.loads(live("dead-letters", "list", name, "--json").stdout)
    assert list(found) == KEYS
    assert (found["id"], found["subscription"], found["reason"]) == ("0-0", name, UNROUTABLE)
    assert found["origin"]["stream"] == "/event/A__e"
    assert (found["event"]["payload"], found["event"]["headers"]) == (None, {"mine": "x"})
    assert json.loads(live("dead-letters", "show", name, "0-0", "--json").stdout) == found
    assert live("dead-letters", "list", name).stdout.splitlines()[1].split()[:3] == [
        "0-0", "dead", UNROUTABLE,
    ]  # fmt: skip
    for words in (["redrive", name], ["discard", name, "--yes"]):
        result = live("dead-letters", *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert f"{name} is a channel" in result.stderr


@pytest.mark.parametrize("command", ["show", "redrive", "discard"])
def test_a_letter_that_is_not_there(billing: Any, command: str) -> None:
    result = billing("dead-letters", command, NAME, "0-17")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: UNKNOWN_DEAD_LETTER: ")
    assert "0-17" in line


@pytest.mark.parametrize("command", ["list", "redrive", "discard"])
def test_a_subscription_that_is_not_there(billing: Any, command: str) -> None:
    result = billing("dead-letters", command, "biling")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: UNKNOWN_SUBSCRIPTION: there is no subscription biling; did you mean billing?\n"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["list"], "missing argument 'SUBSCRIPTION|CHANNEL'"),
        (["list", "billing", "--reason", "fail"], "'fail' is not one of"),
        (["list", "billing", "--since", "soon"], "'soon' is neither an age such as 15m"),
        (["list", "billing", "--until", "2024-01-31"], "needs a time zone"),
        (["redrive", "billing", "--rate", "0"], "--rate"),
        (["redrive", "billing", "--rate", "nan"], "--rate"),
        (["redrive", "billing", "--max", "0"], "--max"),
    ],
)
def test_wrong_words(cli: Any, words: list[str], says: str) -> None:
    result = cli("dead-letters", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert says in line


def test_reasons_are_those_of_workers_and_of_routers() -> None:
    assert [*(reason.value for reason in Reason), UNROUTABLE] == _REASONS
