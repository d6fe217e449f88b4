"""`streams`, `schema show` and `replay-id inspect`."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.kafka.admin import Admin
from platform_events.replay import ReplayId
from tests.support import KEYED, ORDER, apply_texts, delete_before, delete_topic, load, wait_until

DASHED = """
event: Dash__e
fields:
  - {{name: f{number}, type: string}}
"""


def publish(settings: Any, count: int) -> list[str]:
    with EventBus(settings) as bus:
        results = bus.publish_many(
            "Order_Placed__e", [{"order_id": f"A-{n}"} for n in range(count)]
        )
    return [str(result.replay_id) for result in results]


def test_streams_of_an_empty_tenant(live: Any, settings: Any) -> None:
    result = live("streams")
    assert (result.exit_code, result.stdout) == (0, "")
    assert settings.tenant in result.stderr
    assert json.loads(live("streams", "--json").stdout) == []


def test_streams_tell_what_is_held_and_from_where_to_where(bus_cli: Any, settings: Any) -> None:
    ids = publish(settings, 5)
    delete_before(settings, "Order_Placed__e", [2])
    order, reading = json.loads(bus_cli("streams", "--json").stdout)
    assert order == {
        "name": "Order_Placed__e",
        "stream": "/event/Order_Placed__e",
        "kind": "event",
        "state": "ready",
        "partitions": 1,
        "retention": "72h",
        "events": 3,
        "events_exact": True,
        "events_last_minute": 3,
        "oldest_at": order["oldest_at"],
        "newest_at": order["newest_at"],
        "earliest_replay_id": ids[1],
        "latest_replay_id": ids[4],
    }
    (newest,) = bus_cli(
        "subscribe", "Order_Placed__e", "--last", 1, "--no-follow"
    ).stdout.splitlines()
    assert json.loads(newest)["published_at"] == order["newest_at"]
    assert order["oldest_at"] <= order["newest_at"]
    assert (reading["events_exact"], reading["oldest_at"], reading["newest_at"]) == (
        True, None, None,
    )  # fmt: skip
    assert (reading["partitions"], reading["events"]) == (3, 0)
    for stream in (order, reading):
        for key, count in (("earliest_replay_id", stream["events"]), ("latest_replay_id", 0)):
            lines = bus_cli("subscribe", stream["name"], "--from", stream[key], "--no-follow")
            assert len(lines.stdout.splitlines()) == count

    header, *rows = bus_cli("streams").stdout.splitlines()
    assert header.split() == [
        "NAME", "KIND", "PARTITIONS", "RETENTION", "EVENTS", "LAST", "MINUTE", "NEWEST",
        "EARLIEST", "LATEST", "STATE",
    ]  # fmt: skip
    assert [row.split()[:7] for row in rows] == [
        ["Order_Placed__e", "event", "1", "72h", "3", "3", order["newest_at"]],
        ["Reading_Taken__e", "event", "3", "72h", "0", "0", "-"],
    ]
    assert rows[0].split()[7:9] == [ids[1], ids[4]]


def test_more_than_can_be_counted_is_an_upper_bound(
    bus_cli: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, 300)
    monkeypatch.setattr("platform_events.kafka.holding.COUNTED", 299)
    order, _ = json.loads(bus_cli("streams", "--json").stdout)
    assert (order["events"], order["events_exact"]) == (300, False)
    assert order["newest_at"] is not None
    assert "<= 300" in bus_cli("streams").stdout


def test_watching_shows_what_has_changed_and_ends_by_a_signal(
    bus_cli: Any, spawn: Any, settings: Any
) -> None:
    process = spawn("streams", "--watch")

    def await_row(count: str) -> None:
        for line in process.stdout:
            if line.split()[:1] == [b"Order_Placed__e"] and line.split()[4].decode() == count:
                return
        raise AssertionError("it ended")

    await_row("0")
    publish(settings, 2)
    await_row("2")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    result = bus_cli("streams", "--watch", "--json")
    assert result.exit_code == 2
    assert "--watch is for people" in result.stderr


def test_streams_whose_topic_is_gone_or_not_there_yet(
    live: Any, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from platform_events.catalog import apply as module

    apply_texts(settings, tmp_path / "applied", ORDER)
    delete_topic(settings, "Order_Placed__e")
    topic = settings.namespace.topic("Order_Placed__e")
    wait_until(lambda: Admin(settings).describe_one(topic) is None)

    def fail(*_: object) -> None:
        raise RuntimeError("the machine stops here")

    # What is left when apply ends between writing the catalog and making a topic.
    monkeypatch.setattr(module, "_change_topic", fail)
    definitions = load(tmp_path / "applied", ORDER, KEYED)
    with pytest.raises(RuntimeError):
        module.apply(settings, definitions, module.plan_options(settings))
    order, reading = json.loads(live("streams", "--json").stdout)
    assert (order["state"], order["events"], order["latest_replay_id"]) == (
        "topic missing", None, None,
    )  # fmt: skip
    assert (reading["state"], reading["events"]) == ("pending", None)
    rows = live("streams").stdout.splitlines()[1:]
    assert rows[0].endswith("topic missing")
    assert rows[1].endswith("pending")


def test_schema_by_name_and_by_id(bus_cli: Any, settings: Any) -> None:
    schema = json.loads(bus_cli("schema", "show", "Order_Placed__e").stdout)
    assert schema["name"] == "Order_Placed__e"
    assert schema["fields"][2]["name"] == "order_id"
    document = json.loads(bus_cli("schema", "show", "/event/Order_Placed__e", "--json").stdout)
    assert document == {"schema_id": document["schema_id"], "schema": schema}
    for text in (document["schema_id"], document["schema_id"] + "=="):
        assert json.loads(bus_cli("schema", "show", text).stdout) == schema


@pytest.mark.parametrize(("number", "begins"), [(42, "-"), (9408, "--")])
def test_a_schema_id_may_begin_with_dashes(
    live: Any, settings: Any, tmp_path: Any, number: int, begins: str
) -> None:
    definitions = load(tmp_path / "applied", DASHED.format(number=number))
    schema_id = definitions.events["Dash__e"].schema.id
    assert schema_id.startswith(begins)
    apply_texts(settings, tmp_path / "applied", DASHED.format(number=number))
    for words in (
        [schema_id, "--json"],
        ["--json", schema_id],
        ["--json", "--", schema_id],
        ["--json", schema_id + "=="],
    ):
        result = live("schema", "show", *words)
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["schema_id"] == schema_id


def test_a_schema_that_was_never_applied(bus_cli: Any) -> None:
    result = bus_cli("schema", "show", "-" * 21 + "A")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: UNKNOWN_SCHEMA: ")
    result = bus_cli("schema", "show", "Nothing_Known__e")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: UNKNOWN_STREAM: ")


def inspect(cli: Any, replay_id: str) -> dict[str, Any]:
    result = cli("replay-id", "inspect", replay_id, "--json")
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    words = cli("replay-id", "inspect", replay_id)
    assert words.exit_code == 0
    document["words"] = words.stdout
    return document


def test_a_position_is_explained_with_its_stream(bus_cli: Any, settings: Any) -> None:
    ids = publish(settings, 4)
    found = inspect(bus_cli, ids[1])
    assert (found["form"], found["next_offset"]) == ("offset", 2)
    (verdict,) = found["verdicts"]
    assert verdict["stream"] == "/event/Order_Placed__e"
    assert (verdict["code"], verdict["lag"]) == ("READABLE", 2)
    assert "after event number 2" in found["words"]
    assert "/event/Order_Placed__e: READABLE: at most 2 events follow" in found["words"]
    assert "the end of the stream" in inspect(bus_cli, ids[3])["words"]

    delete_before(settings, "Order_Placed__e", [3])
    (verdict,) = inspect(bus_cli, ids[0])["verdicts"]
    assert (verdict["code"], verdict["lost"]) == ("EXPIRED", 2)
    assert verdict["earliest_replay_id"] == ids[2]


def test_a_position_in_several_partitions(bus_cli: Any, settings: Any) -> None:
    with EventBus(settings) as bus:
        payloads = [{"sensor": f"s{n}", "value": n} for n in range(9)]
        results = bus.publish_many("Reading_Taken__e", payloads)
        *_, last = bus.subscribe("Reading_Taken__e", follow=False)
    found = inspect(bus_cli, str(last.replay_id))
    assert (found["form"], sum(found["next_offsets"])) == ("offsets", 9)
    assert found["verdicts"][0]["lag"] == 0
    assert "partition 2: " in found["words"]
    found = inspect(bus_cli, str(results[0].replay_id))
    assert found["form"] == "time"
    assert found["time"].endswith("Z")
    assert found["verdicts"][0]["code"] == "READABLE"
    assert found["verdicts"][0]["lag"] == 9


def test_ids_that_no_stream_reads_on_from(bus_cli: Any, settings: Any, tmp_path: Any) -> None:
    (first,) = publish(settings, 1)
    tag = ReplayId.parse(first).tag

    def made_up(offset: int, tag: int) -> str:
        return str(ReplayId(offset.to_bytes(8, "big") + tag.to_bytes(2, "big")))

    (verdict,) = inspect(bus_cli, made_up(9, tag))["verdicts"]
    assert verdict["code"] == "FUTURE"
    with EventBus(settings) as bus:
        tags = {tag for entry in bus.catalog.entries() for tag in _tags(bus, entry.name)}
    stranger = next(tag for tag in range(1, 99) if tag not in tags)
    found = inspect(bus_cli, made_up(1, stranger))
    assert found["verdicts"] == []
    assert "another tenant's or cluster's" in found["words"]
    found = inspect(bus_cli, made_up(1, 0)[:11])
    assert (found["tag"], found["verdicts"]) == (None, [])
    assert "no stream's tag" in found["words"]
    assert "before the first event" in inspect(bus_cli, made_up(0, tag))["words"]

    delete_topic(settings, "Order_Placed__e")
    topic = settings.namespace.topic("Order_Placed__e")
    wait_until(lambda: Admin(settings).describe_one(topic) is None)
    assert inspect(bus_cli, first)["verdicts"][0]["code"] == "STREAM_DELETED"
    apply_texts(settings, tmp_path / "applied", ORDER, KEYED)
    (verdict,) = inspect(bus_cli, first)["verdicts"]
    assert (verdict["stream"], verdict["code"]) == ("/event/Order_Placed__e", "RECREATED")


def _tags(bus: EventBus, name: str) -> tuple[int, ...]:
    from platform_events.bus.starts import find_stream

    topic = bus.settings.namespace.topic(name)
    return find_stream(bus.catalog.entry(name), topic, bus.admin).identity.tags


def test_without_a_broker_the_form_is_explained(cli: Any) -> None:
    result = cli("replay-id", "inspect", "AAAAAAAAAAMulA")
    assert result.exit_code == 0
    assert "after event number 3" in result.stdout
    assert result.stderr.startswith("the stream could not be looked up: ")
    assert len(result.stderr.splitlines()) == 1
    assert (
        json.loads(cli("replay-id", "inspect", "AAAAAAAAAAMulA", "--json").stdout)["verdicts"]
        is None
    )


@pytest.mark.parametrize("text", ["-abc", "--AAAAAAAAAAAA", "ü", "", "AAAA", "__________8"])
def test_what_is_no_replay_id(cli: Any, text: str) -> None:
    result = cli("replay-id", "inspect", text)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: CORRUPTED: not a replay ID: ")
    assert len(result.stderr.splitlines()) == 1
