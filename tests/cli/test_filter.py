"""`filter test`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from tests.support import KEYED, ORDER, apply_texts, load, produce_raw

CHANNEL = """
channel: Large__chn
members:
  - event: Order_Placed__e
    filter: amount >= 100 AND note != 'gift'
  - event: Reading_Taken__e
"""
SINGLE = """
channel: Orders__chn
members:
  - event: Order_Placed__e
    filter: amount >= 100
"""


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    """Definitions in files, with a channel of two events and one of one."""
    load(tmp_path / "schemas", ORDER, KEYED, CHANNEL, SINGLE)
    return tmp_path / "schemas"


def write(path: Path, *lines: Any) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def results(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_an_expression_is_tried_on_payloads_without_a_broker(
    cli: Any, schemas: Path, tmp_path: Path
) -> None:
    file = write(
        tmp_path / "orders.ndjson",
        {"order_id": "A-1", "amount": 120, "note": None},
        "",
        {"order_id": "A-2"},
    )
    text = "amount >= 100 AND order_id LIKE 'a%'"
    result = cli("filter", "test", text, file, "--event", "Order_Placed__e", "--schemas", schemas)
    assert results(result) == [
        {"index": 0, "type": "Order_Placed__e", "passes": True, "reasons": []},
        {
            "index": 1,
            "type": "Order_Placed__e",
            "passes": False,
            "reasons": ["amount >= 100 is false: amount is 0.0"],
        },
    ]
    assert result.stderr == "1 of 2 events pass\n"
    assert result.exit_code == 0


def test_lines_of_subscribe_name_the_member(cli: Any, schemas: Path, tmp_path: Path) -> None:
    envelope = {"stream": "/event/Large__chn", "replay_id": "AAAAAAAAAAE", "headers": {}}
    order = {"type": "Order_Placed__e", "event_id": "o1"}
    reading = {"type": "Reading_Taken__e", "event_id": "r1"}
    old = {"order_id": "A", "amount": 200.0, "note": None, "dropped_meanwhile": 1}
    file = write(
        tmp_path / "events.ndjson",
        {**envelope, **order, "payload": old},
        {**envelope, **reading, "payload": {"sensor": "s", "value": 1}},
    )
    result = cli("filter", "test", "Large__chn", file, "--schemas", schemas)
    first, second = results(result)
    assert (first["event_id"], first["passes"]) == ("o1", False)
    assert first["reasons"] == ["note != 'gift' is unknown: note is null"]
    assert second == {"index": 1, **reading, "passes": True, "reasons": []}
    assert result.exit_code == 0


def test_malformed_lines_are_told_and_the_others_are_judged(
    cli: Any, schemas: Path, tmp_path: Path
) -> None:
    file = write(
        tmp_path / "orders.ndjson",
        "{",
        "[1]",
        {"order_id": 1},
        {"order_id": "A", "amount": 100.0},
        {"stream": "x", "type": "Other__e", "event_id": "x", "payload": {}},
        {"stream": "x", "type": "Order_Placed__e", "event_id": "x", "payload": 1},
    )
    result = cli("filter", "test", "Orders__chn", file, "--schemas", schemas)
    found = results(result)
    assert [line["index"] for line in found] == [0, 1, 2, 3, 4, 5]
    codes = [line["error"]["code"] if "error" in line else None for line in found]
    invalid = "INVALID_PAYLOAD"
    assert codes == ["INVALID_JSON", invalid, invalid, None, invalid, invalid]
    assert found[2]["error"]["message"].startswith("order_id: expected text")
    assert "Other__e" in found[4]["error"]["message"]
    assert found[3]["passes"] is True
    assert result.stderr == "1 of 1 event passes; 5 lines are no event\n"
    assert result.exit_code == 1


def test_a_payload_for_a_channel_of_several_events_needs_the_event(
    cli: Any, schemas: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "orders.ndjson", {"order_id": "A", "amount": 5.0, "note": "gift"})
    options = ("filter", "test", "Large__chn", file, "--schemas", schemas)
    (refused,) = results(cli(*options))
    assert "give --event Order_Placed__e" in refused["error"]["message"]
    (judged,) = results(cli(*options, "--event", "Order_Placed__e"))
    assert judged["reasons"] == [
        "amount >= 100 is false: amount is 5.0",
        "note != 'gift' is false: note is 'gift'",
    ]


def test_a_wrong_expression_is_shown_with_its_place(
    cli: Any, schemas: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "orders.ndjson", {"order_id": "A"})
    options = ("--event", "Order_Placed__e", "--schemas", schemas)
    result = cli("filter", "test", "amount > 'x'", file, *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    error, *excerpt = result.stderr.splitlines()
    assert error.startswith("error: USAGE: the filter is wrong: amount is a number: compare it")
    assert excerpt == ["    amount > 'x'", "             ^~~"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("amount > 1",), "--event is missing"),
        (("amount > 1", "--event", "Order_Plcaed__e"), "did you mean Order_Placed__e?"),
        (("amount > 1", "--event", "orders"), "'orders' does not name a stream"),
        (("Lagre__chn",), "does not define Lagre__chn; did you mean Large__chn?"),
        (("Orders__chn", "--event", "Reading_Taken__e"), "is no member of Orders__chn"),
    ],
)
def test_wrong_usage_says_what_to_do(
    cli: Any, schemas: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    file = write(tmp_path / "orders.ndjson", {"order_id": "A"})
    result = cli("filter", "test", *arguments, "--schemas", schemas, file)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_recent_events_of_every_partition_are_judged_in_order(bus_cli: Any, settings: Any) -> None:
    with EventBus(settings) as bus:
        for number in range(8):
            bus.publish("Reading_Taken__e", {"sensor": f"s{number % 4}", "value": number})
            # Partitions have no order among events of one millisecond.
            time.sleep(0.002)
    options = ("filter", "test", "value >= 6", "--event", "Reading_Taken__e")
    result = bus_cli(*options, "--recent", 5)
    found = results(result)
    assert [line["passes"] for line in found] == [False, False, False, True, True]
    assert found[0]["reasons"] == ["value >= 6 is false: value is 3"]
    assert all(line["type"] == "Reading_Taken__e" and line["event_id"] for line in found)
    assert result.stderr == "2 of 5 events pass\n"
    assert len(results(bus_cli(*options))) == 8


def test_stored_events_are_judged_by_the_schema_that_wrote_them(
    bus_cli: Any, settings: Any, tmp_path: Path
) -> None:
    with EventBus(settings) as bus:
        bus.publish("Order_Placed__e", {"order_id": "old", "amount": 500.0})
    newer = ORDER + "  - {name: country, type: string, optional: true}\n"
    apply_texts(settings, tmp_path / "newer", newer, KEYED)
    produce_raw(settings, "Order_Placed__e", b"not an event")
    with EventBus(settings) as bus:
        bus.publish("Order_Placed__e", {"order_id": "new", "amount": 500.0, "country": "FR"})
    result = bus_cli("filter", "test", "country = 'fr'", "--event", "Order_Placed__e")
    assert [line["reasons"] for line in results(result)] == [
        ["country = 'fr' is unknown: country is null"],
        [],
    ]


def test_a_channel_of_the_catalog_or_of_files_is_tried_on_the_broker(
    bus_cli: Any, settings: Any, schemas: Path, tmp_path: Path
) -> None:
    with EventBus(settings) as bus:
        bus.publish("Reading_Taken__e", {"sensor": "s", "value": 1})
        bus.publish("Order_Placed__e", {"order_id": "A", "amount": 100.0, "note": "x"})
    apply_texts(settings, tmp_path / "applied", ORDER, KEYED, SINGLE)
    of_catalog = results(bus_cli("filter", "test", "Orders__chn"))
    assert [(line["type"], line["passes"]) for line in of_catalog] == [("Order_Placed__e", True)]
    of_files = results(bus_cli("filter", "test", "Large__chn", "--schemas", schemas))
    assert {(line["type"], line["passes"]) for line in of_files} == {
        ("Reading_Taken__e", True),
        ("Order_Placed__e", True),
    }


def test_without_a_broker_the_error_says_so(cli: Any) -> None:
    result = cli("filter", "test", "amount > 1", "--event", "Order_Placed__e")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: BROKER_UNREACHABLE: ")


def test_events_come_through_stdin(spawn: Any, schemas: Path) -> None:
    process = spawn(
        "filter", "test", "amount = 1", "--event", "Order_Placed__e", "--schemas", str(schemas), "-"
    )
    output, _ = process.communicate(b'{"order_id": "A", "amount": 1}\n')
    assert json.loads(output)["passes"] is True
    assert process.returncode == 0
