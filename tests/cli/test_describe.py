"""`describe`: one stream as people think of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from platform_events.bus.bus import EventBus
from platform_events.settings import Settings
from tests.channels.routing import route_once
from tests.support import apply_texts

ORDER = """
event: Order_Placed__e
label: Order placed
description: A customer has placed an order.
owner: sales
fields:
  - {name: order_id, type: string, doc: Such as A-1.}
  - {name: tags, type: {type: array, items: string}, default: []}
"""
MORE = ORDER + "  - {name: amount, type: double, optional: true}\n"
CHANNEL = """
channel: Large_Orders__chn
label: Large orders
members: [{event: Order_Placed__e, filter: amount >= 100}]
"""


def test_an_event(live: Any, settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path / "applied", ORDER)
    apply_texts(settings, tmp_path / "applied", MORE, CHANNEL, project="shop")
    with EventBus(settings) as bus:
        bus.publish("Order_Placed__e", {"order_id": "A-1"})
        (event,) = bus.subscribe("Order_Placed__e", follow=False)
    document = json.loads(live("describe", "/event/Order_Placed__e", "--json").stdout)
    (held,) = [
        one for one in json.loads(live("streams", "--json").stdout) if one["kind"] == "event"
    ]
    assert document.keys() > held.keys()
    assert document["oldest_at"] == document["newest_at"]
    assert (document["label"], document["owner"], document["project"]) == (
        "Order placed", "sales", "shop",
    )  # fmt: skip
    assert document["fields"][2:] == [
        {"name": "order_id", "type": "string", "doc": "Such as A-1."},
        {"name": "tags", "type": "a list of string", "doc": "", "default": []},
        {"name": "amount", "type": "null or double", "doc": "", "default": None},
    ]
    assert document["channels"] == [{"channel": "Large_Orders__chn", "filter": "amount >= 100"}]
    assert len(document["schemas"]) == 2
    assert document["schemas"][-1] == event.schema_id

    lines = live("describe", "Order_Placed__e").stdout.splitlines()
    assert lines[:3] == [
        "/event/Order_Placed__e",
        "Order placed",
        "A customer has placed an order.",
    ]
    facts = dict(line.split("  ", 1) for line in lines[4 : lines.index("", 4)])
    assert facts["owner"].strip() == "sales"
    assert facts["events"].strip() == "1; 1 in the last minute"
    assert facts["channels"].strip() == "Large_Orders__chn"
    assert facts["retention"].strip().startswith("72h; the oldest event is ")
    assert [line.split() for line in lines[-2:]] == [
        ["2", document["schemas"][1]], ["1", document["schemas"][0]],
    ]  # fmt: skip


def test_a_channel(live: Any, settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path / "applied", MORE, CHANNEL)
    document = json.loads(live("describe", "Large_Orders__chn", "--json").stdout)
    (member,) = document["members"]
    assert (document["label"], document["events"]) == ("Large orders", 0)
    assert (member["event"], member["filter"]) == ("Order_Placed__e", "amount >= 100")
    output = live("describe", "Large_Orders__chn").stdout
    assert "amount >= 100" in output
    assert "no router" in output


def test_how_a_channel_is_fed_is_what_streams_says(
    live: Any, settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path / "applied", MORE, CHANNEL)
    with EventBus(settings) as bus:
        bus.publish("Order_Placed__e", {"order_id": "A-1", "amount": 200.0})
    route_once(settings, "Large_Orders__chn")
    described = json.loads(live("describe", "Large_Orders__chn", "--json").stdout)
    (listed,) = [
        one for one in json.loads(live("streams", "--json").stdout) if one["kind"] == "channel"
    ]
    assert described["members"] == listed["members"]
    assert described["members"][0]["passed"] == 1


def test_what_is_not_there(bus_cli: Any) -> None:
    result = bus_cli("describe", "Order_Place__e")
    assert result.exit_code == 1
    assert "did you mean Order_Placed__e?" in result.stderr
    assert bus_cli("describe", "orders").exit_code == 2
