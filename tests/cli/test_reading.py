"""Where `subscribe` begins, where it stops, and what it chooses of what is between."""

from __future__ import annotations

import json
import re
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.cli.terminal.output import pretty_json
from platform_events.settings import Settings
from tests.channels.routing import route_once
from tests.support import ORDER, apply_texts, produce_raw

EVENT = "Order_Placed__e"
REFUND = """
event: Refund__e
fields:
  - {name: order_id, type: string}
  - {name: reason, type: string, optional: true}
"""
CHANNEL = """
channel: Orders__chn
members: [{event: Order_Placed__e}, {event: Refund__e}]
"""


def publish(settings: Settings, *amounts: float, event: str = EVENT) -> list[Any]:
    with EventBus(settings) as bus:
        payloads = [{"order_id": f"{event[0]}-{n}", "amount": n} for n in amounts]
        return [result.replay_id for result in bus.publish_many(event, payloads)]


def ids(result: Any) -> list[str]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["payload"]["order_id"] for line in result.stdout.splitlines()]


@pytest.fixture
def channel_cli(live: Any, settings: Settings, tmp_path: Path) -> Any:
    """A channel with three orders and two refunds in it."""
    apply_texts(settings, tmp_path / "applied", ORDER, REFUND, CHANNEL)
    publish(settings, 1, 2, 3)
    with EventBus(settings) as bus:
        refunds = [{"order_id": "R-1", "reason": "late"}, {"order_id": "R-2"}]
        bus.publish_many("Refund__e", refunds)
    route_once(settings, "Orders__chn")
    return live


class TestLast:
    def test_the_last_events_and_what_follows(
        self, bus_cli: Any, spawn: Any, settings: Settings
    ) -> None:
        publish(settings, *range(1, 8))
        assert ids(bus_cli("subscribe", EVENT, "--last", 3, "--no-follow")) == [
            "O-5", "O-6", "O-7",
        ]  # fmt: skip
        assert len(ids(bus_cli("subscribe", EVENT, "--last", 99, "--no-follow"))) == 7
        following = spawn("subscribe", EVENT, "--last", "1", "--max", "3")
        first = following.stdout.readline()
        publish(settings, 8, 9)
        output, _ = following.communicate(timeout=60)
        orders = [json.loads(line)["payload"]["order_id"] for line in (first + output).splitlines()]
        assert orders == ["O-7", "O-8", "O-9"]

    def test_the_markers_of_transactions_are_no_events(
        self, channel_cli: Any, settings: Settings
    ) -> None:
        publish(settings, 4)
        route_once(settings, "Orders__chn")
        everything = ids(channel_cli("subscribe", "Orders__chn", "--no-follow"))
        assert len(everything) == 6
        for count in range(1, 8):
            last = ids(channel_cli("subscribe", "Orders__chn", "--last", count, "--no-follow"))
            assert last == everything[-count:]

    def test_it_is_instead_of_a_start(self, cli: Any) -> None:
        for option in ("--from", "--until"):
            result = cli("subscribe", EVENT, "--last", "1", option, "15m")
            assert result.exit_code == 2
            assert "give no --from and no --until" in result.stderr

    def test_what_cannot_be_decoded_is_said(self, bus_cli: Any, settings: Settings) -> None:
        publish(settings, 1)
        produce_raw(settings, EVENT, b"rubbish")
        command = ("subscribe", EVENT, "--last", 2, "--no-follow")
        assert "--on-undecodable skip" in bus_cli(*command).stderr
        assert ids(bus_cli(*command, "--on-undecodable", "skip")) == ["O-1"]


class TestUntil:
    def test_after_the_event_of_a_replay_id(self, bus_cli: Any, settings: Settings) -> None:
        replay_ids = publish(settings, *range(5))
        for number, replay_id in enumerate(replay_ids):
            # It follows by default, and would not end by itself.
            result = bus_cli("subscribe", EVENT, "--from", "earliest", "--until", replay_id)
            assert ids(result) == [f"O-{n}" for n in range(number + 1)]
        result = bus_cli("subscribe", EVENT, "--from", replay_ids[3], "--until", replay_ids[1])
        assert ids(result) == []

    def test_before_the_first_event_of_a_time(self, bus_cli: Any, settings: Settings) -> None:
        publish(settings, 1, 2)
        time.sleep(0.02)
        moment = datetime.now(UTC)
        time.sleep(0.02)
        publish(settings, 3)
        command = ("subscribe", EVENT, "--from", "earliest", "--until")
        assert ids(bus_cli(*command, moment.isoformat())) == ["O-1", "O-2"]
        assert ids(bus_cli(*command, "2001-01-01T00:00:00Z")) == []
        assert ids(bus_cli(*command, "1h")) == []

    def test_a_time_to_come_is_waited_for(
        self, bus_cli: Any, spawn: Any, settings: Settings
    ) -> None:
        """However long it takes to start: what was stored before the time comes out, no more."""
        moment = datetime.now(UTC) + timedelta(seconds=4)
        following = spawn("subscribe", EVENT, "--from", "-2", "--until", moment.isoformat())
        number = 0
        while datetime.now(UTC) < moment + timedelta(seconds=0.5):
            publish(settings, number)
            number += 1
        output, errors = following.communicate(timeout=60)
        assert (following.returncode, errors) == (0, b"")
        with EventBus(settings) as bus:
            stored = [
                event.payload["order_id"]
                for event in bus.subscribe(EVENT, follow=False)
                if event.published_at < moment
            ]
        assert 0 < len(stored) < number
        assert [json.loads(line)["payload"]["order_id"] for line in output.splitlines()] == stored

    @pytest.mark.parametrize("word", ["latest", "EARLIEST", "-1", "soon"])
    def test_words_are_no_ends(self, cli: Any, word: str) -> None:
        result = cli("subscribe", EVENT, "--until", word)
        assert result.exit_code == 1
        assert f"--until '{word}' is none of an age such as 15m" in result.stderr

    def test_several_partitions_end_at_what_was_read(
        self, bus_cli: Any, settings: Settings
    ) -> None:
        with EventBus(settings) as bus:
            readings = [{"sensor": f"s{n}", "value": n} for n in range(20)]
            (*_, result) = bus.publish_many("Reading_Taken__e", readings)
            read = list(bus.subscribe("Reading_Taken__e", follow=False))
            some = read[12].replay_id
            until = list(bus.subscribe("Reading_Taken__e", "earliest", until=some))
        assert sorted(event.event_id for event in until) == sorted(
            event.event_id for event in read[:13]
        )
        command = ("subscribe", "Reading_Taken__e", "--until", result.replay_id)
        refused = bus_cli(*command)
        assert refused.exit_code == 2
        assert "give that of an event that was read" in refused.stderr
        last = bus_cli("subscribe", "/event/Reading_Taken__e", "--last", 5, "--no-follow")
        newest = {json.loads(line)["event_id"] for line in last.stdout.splitlines()}
        assert newest <= {event.event_id for event in read}
        assert len(newest) == 5

    def test_a_signal_cuts_a_reading_that_has_an_end(
        self, bus_cli: Any, spawn: Any, settings: Settings
    ) -> None:
        (*_, end) = publish(settings, *range(20_000))
        reading = spawn("subscribe", EVENT, "--from", "earliest", "--until", str(end))
        reading.stdout.readline()
        reading.send_signal(signal.SIGTERM)
        reading.communicate(timeout=60)
        assert reading.returncode == 143

    def test_the_sdk_has_it_too(self, bus_cli: Any, settings: Settings) -> None:
        replay_ids = publish(settings, *range(4))
        with EventBus(settings) as bus:
            read = bus.subscribe(EVENT, Start.EARLIEST, until=replay_ids[2])
            assert [event.replay_id for event in read] == replay_ids[:3]
            assert read.position == replay_ids[2]
            assert [event.replay_id for event in bus.subscribe(EVENT, replay_ids[2],
                    until=Start.LATEST)] == replay_ids[3:]  # fmt: skip


class TestFilter:
    def test_only_what_passes_is_printed_and_counts(self, bus_cli: Any, settings: Settings) -> None:
        publish(settings, *range(1, 8))
        command = ("subscribe", EVENT, "--no-follow", "--filter", "amount >= 3")
        assert ids(bus_cli(*command)) == [f"O-{n}" for n in range(3, 8)]
        assert ids(bus_cli(*command, "--max", 2)) == ["O-3", "O-4"]
        assert ids(bus_cli(*command, "--last", 2)) == ["O-6", "O-7"]

    def test_types_without_the_field_do_not_pass(self, channel_cli: Any) -> None:
        def chosen(expression: str) -> list[str]:
            command = ("subscribe", "Orders__chn", "--no-follow", "--filter", expression)
            return sorted(ids(channel_cli(*command)))

        assert chosen("amount > 1") == ["O-2", "O-3"]
        assert chosen("reason = null") == ["R-2"]
        assert chosen("NOT reason = 'late'") == []
        assert chosen("order_id LIKE '%-1'") == ["O-1", "R-1"]

    def test_nobody_reads_what_passes_any_more(
        self, bus_cli: Any, spawn: Any, settings: Settings
    ) -> None:
        publish(settings, 1)
        reading = spawn("subscribe", EVENT, "--from", "earliest", "--filter", "amount <= 1")
        reading.stdout.readline()
        reading.stdout.close()
        with EventBus(settings) as bus:
            while reading.poll() is None:  # events come, and none passes
                bus.publish(EVENT, {"order_id": "O", "amount": 2.0})
        assert (reading.returncode, reading.stderr.read()) == (0, b"")

    def test_an_old_event_lacks_what_its_type_has_now(
        self, bus_cli: Any, settings: Settings, tmp_path: Path
    ) -> None:
        publish(settings, 1)
        more = ORDER + "  - {name: more, type: string, optional: true}"
        apply_texts(settings, tmp_path / "more", more, prune=False)
        publish(settings, 2)
        command = ("subscribe", EVENT, "--no-follow", "--filter", "more = null")
        assert ids(bus_cli(*command)) == ["O-1", "O-2"]

    @pytest.mark.parametrize(
        ("expression", "says"),
        [
            ("amont > 1", "has no field 'amont'; did you mean amount?"),
            ("amount = 'x'", "amount is a number"),
            ("amount >", "the filter is wrong"),
        ],
    )
    def test_what_is_no_filter_is_said_with_its_place(
        self, bus_cli: Any, expression: str, says: str
    ) -> None:
        result = bus_cli("subscribe", EVENT, "--filter", expression)
        assert result.exit_code == 2
        message, line, mark = result.stderr.splitlines()
        assert message.startswith("error: USAGE: the filter is wrong: ")
        assert says in message
        assert line.strip() == expression
        assert "^" in mark


def test_streams_counts_events_and_not_markers(channel_cli: Any) -> None:
    found = {one["name"]: one for one in json.loads(channel_cli("streams", "--json").stdout)}
    counts = {name: (one["events"], one["events_exact"]) for name, one in found.items()}
    assert counts == {EVENT: (3, True), "Refund__e": (2, True), "Orders__chn": (5, True)}
    assert found["Orders__chn"]["events_last_minute"] == 5


def test_pretty_is_for_people(bus_cli: Any, settings: Settings) -> None:
    publish(settings, 1, 2)
    output = bus_cli("subscribe", EVENT, "--no-follow", "--pretty").stdout
    assert output.count("\n") > 20
    assert '\n    "order_id": "O-1",\n' in output
    assert "\x1b" not in output


def test_pretty_has_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    document = {"order_id": "O-1", "amount": 1.5, "note": None, "text": "x" * 300}
    text = pretty_json(document)
    assert "\x1b[" in text
    assert json.loads(re.sub(r"\x1b\[[0-9;]*m", "", text)) == document
