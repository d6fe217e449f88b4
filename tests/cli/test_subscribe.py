from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.replay import ReplayId
from tests.support import apply_texts, delete_before, produce_raw

RICH = """
event: Rich__e
fields:
  - {name: price, type: {type: bytes, logicalType: decimal, precision: 9, scale: 2}}
  - {name: at, type: {type: long, logicalType: timestamp-millis}}
  - {name: key, type: {type: string, logicalType: uuid}}
  - {name: raw, type: bytes}
  - {name: number, type: double}
"""


def publish(settings: Any, count: int, event: str = "Order_Placed__e") -> list[Any]:
    with EventBus(settings) as bus:
        return bus.publish_many(event, [{"order_id": f"A-{n}"} for n in range(count)])


def orders(output: str) -> list[str]:
    return [json.loads(line)["payload"]["order_id"] for line in output.splitlines()]


def test_a_line_has_all_of_an_event(bus_cli: Any, settings: Any) -> None:
    with EventBus(settings) as bus:
        headers = {"text": "ü", "raw": b"\xff", "empty": b""}
        result = bus.publish("Order_Placed__e", {"order_id": "ü\n"}, headers=headers)
        (event,) = bus.subscribe("Order_Placed__e", follow=False)
    output = bus_cli("subscribe", "/event/Order_Placed__e", "--no-follow").stdout
    assert output.count("\n") == 1
    document = json.loads(output)
    assert list(document) == [
        "stream", "replay_id", "event_id", "type", "schema_id", "published_at", "headers",
        "payload",
    ]  # fmt: skip
    published_at = document.pop("published_at")
    assert published_at.endswith("Z")
    assert len(published_at) == len("2024-01-31T12:00:00.000Z")
    assert datetime.fromisoformat(published_at) == event.published_at
    assert document == {
        "stream": "/event/Order_Placed__e",
        "replay_id": str(result.replay_id),
        "event_id": result.event_id,
        "type": "Order_Placed__e",
        "schema_id": event.schema_id,
        "headers": {"text": "ü", "raw": {"base64": "/w=="}, "empty": ""},
        "payload": event.payload,
    }
    assert "ü" in output


def test_logical_types_are_text_in_both_directions(
    bus_cli: Any, settings: Any, tmp_path: Any
) -> None:
    apply_texts(settings, tmp_path / "applied", RICH)
    payload = {
        "price": "12.50",
        "at": "2024-01-31T12:30:00.000Z",
        "key": "123e4567-e89b-12d3-a456-426614174000",
        "raw": "/wA=",
        "number": "-Infinity",
    }
    (tmp_path / "in").write_text(json.dumps(payload))
    assert bus_cli("publish", "Rich__e", tmp_path / "in").exit_code == 0
    document = json.loads(bus_cli("subscribe", "Rich__e", "--no-follow").stdout)
    assert {name: document["payload"][name] for name in payload} == payload


def test_starts(bus_cli: Any, settings: Any) -> None:
    ids = [str(result.replay_id) for result in publish(settings, 4)]
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    everything = ["A-0", "A-1", "A-2", "A-3"]
    for start, expected in {
        "earliest": everything,
        "EARLIEST": everything,
        "-2": everything,
        "latest": [],
        "Latest": [],
        "-1": [],
        ids[1]: ["A-2", "A-3"],
        ids[1] + "==": ["A-2", "A-3"],
        str(ReplayId(ReplayId.parse(ids[2])[:8])): ["A-3"],
        ids[3]: [],
        "15m": everything,
        "999999999999999d": everything,
        "2024-01-31T12:00:00+01:00": everything,
        "0001-01-01T00:00:00Z": everything,
        soon: [],
    }.items():
        result = bus_cli("subscribe", "Order_Placed__e", "--from", start, "--no-follow")
        assert (result.exit_code, orders(result.stdout)) == (0, expected), start
    assert orders(bus_cli("subscribe", "Order_Placed__e", "--no-follow").stdout) == everything
    result = bus_cli("subscribe", "Order_Placed__e", f"--from={ids[0]}", "--max", "2")
    assert (result.exit_code, orders(result.stdout)) == (0, ["A-1", "A-2"])


@pytest.mark.parametrize(
    ("start", "code", "says"),
    [
        ("-abc", "CORRUPTED", "--from '-abc' is none of latest, earliest, an age such as 15m"),
        ("--abc", "CORRUPTED", "'--abc'"),
        ("-3", "CORRUPTED", "'-3'"),
        ("15M", "CORRUPTED", "'15M'"),
        ("", "CORRUPTED", "''"),
        ("1.5h", "CORRUPTED", "'1.5h'"),
        ("__________8", "CORRUPTED", "out of range"),
        ("2024-01-31", "USAGE", "needs a time zone"),
        ("2024-01-31T12:00:00", "USAGE", "needs a time zone"),
        ("2024-13-01T00:00:00Z", "USAGE", "not an ISO 8601 time"),
        ("--no-follow", "USAGE", "a value is missing before --no-follow"),
    ],
)
def test_what_is_no_start_is_said_without_a_broker(
    cli: Any, start: str, code: str, says: str
) -> None:
    result = cli("subscribe", "Order_Placed__e", "--from", start)
    assert result.exit_code == (2 if code == "USAGE" else 1)
    assert result.stderr.startswith(f"error: {code}: ")
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_expired_start_fails_unless_the_user_says_what_to_do(
    bus_cli: Any, settings: Any
) -> None:
    ids = [str(result.replay_id) for result in publish(settings, 4)]
    delete_before(settings, "Order_Placed__e", [3])
    command = ["subscribe", "Order_Placed__e", "--from", ids[0], "--no-follow"]
    result = bus_cli(*command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: EXPIRED: ")
    assert "up to 2 events" in result.stderr
    assert ids[2] in result.stderr
    assert orders(bus_cli(*command, "--on-expired", "earliest").stdout) == ["A-3"]
    assert orders(bus_cli(*command, "--on-expired", "latest").stdout) == []


def test_an_undecodable_record_fails_or_is_passed_over(bus_cli: Any, settings: Any) -> None:
    publish(settings, 1)
    produce_raw(settings, "Order_Placed__e", b"rubbish")
    publish(settings, 1)
    result = bus_cli("subscribe", "Order_Placed__e", "--no-follow")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr.startswith("error: UNDECODABLE: ")
    assert "partition 0, offset 1" in result.stderr
    assert "--on-undecodable skip" in result.stderr
    assert len(result.stderr.splitlines()) == 1

    result = bus_cli("subscribe", "Order_Placed__e", "--no-follow", "--on-undecodable", "skip")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith("warning: skipped: ")


def test_a_timeout_ends_a_quiet_stream(bus_cli: Any, settings: Any) -> None:
    publish(settings, 2)
    result = bus_cli("subscribe", "Order_Placed__e", "--from", "earliest", "--timeout", "0.3")
    assert (result.exit_code, orders(result.stdout)) == (0, ["A-0", "A-1"])
    assert result.stderr == "no event for 0.3 seconds\n"


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_is_a_number_above_0(cli: Any, seconds: str) -> None:
    result = cli("subscribe", "Order_Placed__e", "--timeout", seconds)
    assert result.exit_code == 2
    assert "is not a number of seconds above 0" in result.stderr


def test_an_unknown_stream_is_said_with_what_is_close(bus_cli: Any) -> None:
    result = bus_cli("subscribe", "Order_Placd__e")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: UNKNOWN_STREAM: ")
    assert "did you mean Order_Placed__e?" in result.stderr
    result = bus_cli("subscribe", "orders")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: USAGE: 'orders' does not name a stream")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_ends_cleanly_by_a_signal(
    bus_cli: Any, spawn: Any, settings: Any, number: signal.Signals
) -> None:
    publish(settings, 1)
    process = spawn("subscribe", "Order_Placed__e", "--from", "earliest")
    assert orders(process.stdout.readline().decode()) == ["A-0"]
    publish(settings, 2)
    assert orders(process.stdout.readline().decode()) == ["A-0"]
    process.send_signal(number)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert len(orders(out.decode())) <= 1


def test_following_ends_when_nobody_reads_any_more(bus_cli: Any, spawn: Any, settings: Any) -> None:
    publish(settings, 1)
    process = spawn("subscribe", "Order_Placed__e", "--from", "earliest")
    process.stdout.readline()
    # Nothing more is published: it has to notice by itself.
    process.stdout.close()
    assert process.wait() == 0
    assert process.stderr.read() == b""


def test_a_reader_that_has_enough_ends_a_long_output_silently(
    bus_cli: Any, spawn: Any, settings: Any
) -> None:
    publish(settings, 3000)
    process = spawn("subscribe", "Order_Placed__e", "--no-follow")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait() == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_cuts_no_line(bus_cli: Any, spawn: Any, settings: Any, unbuffered: str) -> None:
    publish(settings, 5000)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    process = spawn("subscribe", "Order_Placed__e", "--from", "earliest", env=environment)
    first = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    rest = process.stdout.read()
    assert process.wait() == 0
    assert rest == b"" or rest.endswith(b"}}\n")
    assert len(orders((first + rest).decode())) < 5000
