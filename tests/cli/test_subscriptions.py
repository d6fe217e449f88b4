"""`subscriptions`: looked at and commanded, with plain clients in the place of workers."""

from __future__ import annotations

import json
import os
import pty
import signal
import threading
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from platform_events.workers.holes import Saved
from platform_events.workers.status import show_subscription
from tests.support import delete_before, delete_topic, wait_until
from tests.workers.journals import (
    NAME,
    ORDERS,
    READINGS,
    letter,
    read,
    subscribe,
    write_letters,
)
from tests.workers.plain import commit, working

KEYS = [
    "name", "kind", "stream", "order", "state", "protocol", "members", "position", "lag_events",
    "lag_seconds", "time_to_loss_seconds", "events_lost", "in_flight", "holes", "failing_keys",
    "dead_letters", "generation",
]  # fmt: skip


@pytest.fixture
def billing(bus_cli: Any, bus: EventBus) -> Any:
    """As `bus_cli`, with ten orders and the subscription billing, which handled some of them."""
    bus.publish_many(ORDERS, [{"order_id": f"A-{number}"} for number in range(10)])
    subscribe(bus)
    commit(bus.settings, NAME, ORDERS, {0: (2, Saved(high=8, holes=(2, 5)))})
    write_letters(bus, letter(0), letter(1, status="parked"))
    return bus_cli


def test_list_and_show(billing: Any, bus: EventBus, settings: Settings) -> None:
    subscribe(bus, READINGS, name="alarm")
    with working(settings, NAME, ORDERS, **{"client.id": "worker-1"}) as worker:
        worker.commit({0: (2, Saved(high=8, holes=(2, 5), running=2, failing=1))})
        alarm, listed = json.loads(billing("subscriptions", "list", "--json").stdout)
        shown = json.loads(billing("subscriptions", "show", NAME, "--json").stdout)
        table = billing("subscriptions", "list").stdout.splitlines()
        text = billing("subscriptions", "show", NAME).stdout
    assert list(shown) == list(listed) == list(alarm) == KEYS
    lag, left = shown.pop("lag_seconds"), shown.pop("time_to_loss_seconds")
    assert lag + left == pytest.approx(72 * 3600)
    position = shown.pop("position")
    assert shown == {
        "name": NAME,
        "kind": "worker",
        "stream": f"/event/{ORDERS}",
        "order": "key",
        "state": "running",
        "protocol": "classic",
        "members": [{"client_id": "worker-1", "host": "127.0.0.1", "partitions": [0]}],
        "lag_events": 4,
        "events_lost": 0,
        "in_flight": 2,
        "holes": 2,
        "failing_keys": 1,
        "dead_letters": 2,
        "generation": 0,
    }
    assert listed["position"] == position
    lines = billing("subscribe", ORDERS, "--from", position, "--no-follow").stdout.splitlines()
    assert json.loads(lines[0])["payload"]["order_id"] == "A-2"
    assert (alarm["state"], alarm["protocol"], alarm["lag_events"]) == ("idle", None, 0)
    assert (alarm["lag_seconds"], alarm["time_to_loss_seconds"]) == (0, None)
    assert [row.split()[:5] for row in table] == [
        ["NAME", "STREAM", "STATE", "WORKERS", "LAG"],
        ["alarm", f"/event/{READINGS}", "idle", "0", "0"],
        [NAME, f"/event/{ORDERS}", "running", "1", "4"],
    ]
    assert table[2].split()[-5:] == ["0", "2", "2", "1", "2"]
    facts = dict(line.split("  ", 1) for line in text.splitlines() if "  " in line)
    assert facts["lag"].strip().startswith("4; the oldest is ")
    assert facts["position"].strip() == position
    assert text.splitlines()[-1].split() == ["worker-1", "127.0.0.1", "0"]


def test_a_tenant_without_subscriptions(bus_cli: Any, settings: Settings) -> None:
    result = bus_cli("subscriptions", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert settings.tenant in result.stderr
    assert json.loads(bus_cli("subscriptions", "list", "--json").stdout) == []


def test_what_is_lost_is_told_in_words(billing: Any, settings: Settings) -> None:
    delete_before(settings, ORDERS, [4])
    (found,) = json.loads(billing("subscriptions", "list", "--json").stdout)
    assert (found["events_lost"], found["time_to_loss_seconds"]) == (1, 0)
    assert billing("subscriptions", "list").stdout.splitlines()[1].split()[-5] == "1"


def seek(cli: Any, *arguments: str) -> tuple[dict[str, Any], str]:
    result = cli("subscriptions", *arguments)
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    assert list(document) == ["subscription", "generation", "applied", "pending_partitions"]
    return document, result.stderr


def test_a_command_with_nobody_running_is_pending_and_no_failure(
    billing: Any, bus: EventBus
) -> None:
    document, told = seek(billing, "seek", NAME, "--to", "earliest")
    assert document == {
        "subscription": NAME, "generation": 1, "applied": False, "pending_partitions": [0],
    }  # fmt: skip
    assert told == f"nobody works for {NAME}: its workers apply it when they start\n"
    (found,) = json.loads(billing("subscriptions", "list", "--json").stdout)
    assert (found["state"], found["generation"]) == ("pending", 1)
    (journal,) = read(bus)
    assert journal.control.seek is not None
    assert journal.control.seek.offset == 0


@pytest.mark.parametrize(
    ("words", "state"), [(["seek", NAME, "--to", "latest"], "running"), (["pause", NAME], "paused")]
)
def test_a_command_waits_until_workers_have_applied_it(
    billing: Any, bus: EventBus, settings: Settings, words: list[str], state: str
) -> None:
    with working(settings, NAME, ORDERS) as worker:

        def apply() -> None:
            wait_until(lambda: read(bus)[0].control.generation == 1)
            worker.commit({0: (10, Saved(generation=1, high=10))})

        applying = threading.Thread(target=apply)
        applying.start()
        document, told = seek(billing, *words)
        applying.join()
        assert (document["applied"], document["pending_partitions"], told) == (True, [], "")
        assert show_subscription(bus, NAME).state == state


def test_what_workers_do_not_apply_in_time_is_told(
    billing: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform_events.cli.commands.subscriptions._WAIT", 0.5)
    with working(settings, NAME, ORDERS):
        document, told = seek(billing, "pause", NAME)
        assert (document["generation"], document["pending_partitions"]) == (1, [0])
        assert told.startswith("not applied within 0.5 s")
        document, _ = seek(billing, "resume", NAME)
        assert document["generation"] == 2


@pytest.mark.parametrize(
    ("place", "offset"), [("latest", 10), ("earliest", 0), ("3d", 0), ("2024-01-31T12:00:00Z", 0)]
)
def test_forms_of_places(billing: Any, bus: EventBus, place: str, offset: int) -> None:
    seek(billing, "seek", NAME, "--to", place)
    (journal,) = read(bus)
    assert journal.control.seek is not None
    assert journal.control.seek.offset == offset


def test_a_replay_id_is_a_place(billing: Any, bus: EventBus) -> None:
    _, _, third, *_ = bus.subscribe(ORDERS, follow=False)
    seek(billing, "seek", NAME, "--to", str(third.replay_id))
    (journal,) = read(bus)
    assert journal.control.seek is not None
    assert journal.control.seek.offset == 3


def test_an_interrupted_wait_says_that_the_command_holds(
    billing: Any, bus: EventBus, settings: Settings, spawn: Any
) -> None:
    with working(settings, NAME, ORDERS):
        process = spawn("subscriptions", "pause", NAME)
        wait_until(lambda: read(bus)[0].control.paused)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, b"")
    assert errors == b"interrupted; it is commanded, and workers apply it\n"


def test_deleting_asks(billing: Any, bus: EventBus, spawn: Any) -> None:
    result = billing("subscriptions", "delete", NAME)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: USAGE: deletes subscription {NAME}: its position and 2 dead letters go: nobody "
        "can be asked without a terminal, confirm with --yes\n"
    )
    ours, theirs = pty.openpty()
    process = spawn("subscriptions", "delete", NAME, stdin=theirs)
    os.close(theirs)
    os.write(ours, b"n\n")
    output, errors = process.communicate(timeout=60)
    os.close(ours)
    assert (process.returncode, output) == (1, b"")
    assert b"nothing was changed" in errors
    assert len(read(bus)[0].letters) == 2
    result = billing("subscriptions", "delete", NAME, "--yes")
    assert (result.exit_code, result.stdout) == (0, f"subscription {NAME} is deleted\n")
    assert json.loads(billing("subscriptions", "list", "--json").stdout) == []


def test_a_subscription_without_its_stream(billing: Any, settings: Settings) -> None:
    delete_topic(settings, ORDERS)
    listing = billing("subscriptions", "list", "--json")
    (found,) = json.loads(listing.stdout)
    assert list(found) == KEYS
    assert [key for key in KEYS if found[key] is None] == [
        "protocol", "position", "lag_events", "lag_seconds", "time_to_loss_seconds",
        "events_lost", "holes",
    ]  # fmt: skip
    (line,) = listing.stderr.splitlines()
    assert line.startswith(f"{NAME}: topic ")
    for words in (["show", NAME], ["seek", NAME, "--to", "earliest"]):
        result = billing("subscriptions", *words)
        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: UNKNOWN_SUBSCRIPTION: ")
    assert billing("subscriptions", "delete", NAME, "--yes").exit_code == 0


@pytest.mark.parametrize(
    "words",
    [["show"], ["seek", "--to", "earliest"], ["pause"], ["resume"], ["delete", "--yes"]],
    ids=lambda words: words[0],
)
def test_a_subscription_that_is_not_there(billing: Any, words: list[str]) -> None:
    result = billing("subscriptions", words[0], "biling", *words[1:])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: UNKNOWN_SUBSCRIPTION: there is no subscription biling; did you mean billing?\n"
    )


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["show", "Billing"], 2, "USAGE: 'Billing' cannot name a subscription"),
        (["seek", "billing"], 2, "USAGE: missing option '--to'"),
        (["seek", "billing", "--to", "2024-01-31"], 2, "needs a time zone"),
        (["seek", "billing", "--to", "soon"], 1, "CORRUPTED: --to 'soon' is none of latest,"),
    ],
)
def test_wrong_words(cli: Any, words: list[str], status: int, says: str) -> None:
    result = cli("subscriptions", *words)
    assert (result.exit_code, result.stdout) == (status, "")
    (line,) = result.stderr.splitlines()
    assert says in line
