"""`plan` and `apply`."""

from __future__ import annotations

import json
import os
import pty
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from platform_events.bus.bus import EventBus
from platform_events.kafka.admin import Admin
from tests.support import ORDER, topic_of

CHANNEL = """
channel: Sales__chn
members:
  - {event: Order_Placed__e, filter: amount >= 100}
"""
OTHER = ORDER.replace("Order_Placed", "Order_Packed")


def define(*documents: str, project: str = "shop") -> None:
    directory = Path("schemas")
    directory.mkdir(exist_ok=True)
    for old in directory.rglob("*.yaml"):
        old.unlink()
    (directory / "channels").mkdir(exist_ok=True)
    (directory / "project.yaml").write_text(f"project: {project}\n")
    for number, document in enumerate(documents):
        folder = directory / "channels" if "channel:" in document else directory
        (folder / f"definition{number}.yaml").write_text(textwrap.dedent(document))


def test_plan_then_apply_then_nothing(live: Any) -> None:
    define(ORDER)
    result = live("plan", "--exit-code")
    assert result.exit_code == 3
    assert "+ create Order_Placed__e\n    1 partition, " in result.stdout
    assert live("plan").exit_code == 0

    result = live("apply")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "created Order_Placed__e"

    result = live("plan", "--exit-code")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "nothing to do"
    result = live("apply")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "nothing to do"


def test_plan_and_apply_as_json(live: Any, settings: Any) -> None:
    define(ORDER)
    document = json.loads(live("plan", "--json").stdout)
    assert document["tenant"] == settings.tenant
    assert document["summary"]["create"] == 1
    (change,) = document["changes"]
    assert (change["kind"], change["name"], change["action"]) == (
        "event", "Order_Placed__e", "create",
    )  # fmt: skip

    result = live("apply", "--json")
    assert json.loads(result.stdout)["applied"] is True
    assert result.stderr == "created Order_Placed__e\n"
    assert json.loads(live("apply", "--json").stdout)["applied"] is False


def test_channels_are_planned_and_applied_after_their_events(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No router runs, so none is waited for.
    monkeypatch.setattr("platform_events.cli.views.activation._SECONDS", 3_600.0)
    define(ORDER, CHANNEL)
    result = live("plan")
    assert result.stdout.splitlines()[-4:] == [
        "+ create Sales__chn",
        "    1 member, kept 72h, 1 partition",
        "    add Order_Placed__e, from earliest, filter: amount >= 100",
        "2 to create",
    ]
    document = json.loads(live("plan", "--json").stdout)
    assert [change["kind"] for change in document["changes"]] == ["event", "channel"]
    result = live("apply")
    assert result.exit_code == 0
    done = [line for line in result.stdout.splitlines() if line.startswith("created ")]
    assert done == ["created Order_Placed__e", "created Sales__chn"]
    assert "Sales__chn: definition 1 is pending: no router" in result.stdout

    define(ORDER, CHANNEL.replace("100", "200"))
    result = live("apply")
    assert "    filter of Order_Placed__e: amount >= 100 -> amount >= 200" in result.stdout
    assert "updated Sales__chn" in result.stdout.splitlines()
    assert live("plan").stdout.splitlines()[-1] == "nothing to do"

    define(ORDER)
    result = live("apply", "--prune", "--yes")
    assert result.stdout.splitlines()[-1] == "deleted Sales__chn"


def test_a_refusal_is_shown_and_nothing_is_applied(live: Any) -> None:
    define(ORDER)
    live("apply")
    define(ORDER.replace("double, default: 0.0", "string"), OTHER)
    result = live("plan", "--exit-code")
    assert result.exit_code == 1
    assert "x update Order_Placed__e\n" in result.stdout
    assert "    refused: amount: " in result.stdout
    assert "apply would change nothing" in result.stdout
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: PLAN_REFUSED: Order_Placed__e: amount: ")
    assert lines[-1] == "error: PLAN_REFUSED: nothing was applied"

    document = json.loads(live("plan", "--json").stdout)
    assert document["refusals"] == 1

    result = live("apply")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == lines
    assert [entry["name"] for entry in json.loads(live("streams", "--json").stdout)] == [
        "Order_Placed__e"
    ]


def test_growth_needs_leave(live: Any) -> None:
    keyed = ORDER + "partition_key: order_id\n"
    define(keyed)
    live("apply")
    define(keyed + "partitions: 2\n")
    result = live("apply")
    assert result.exit_code == 1
    assert "--allow-partition-growth" in result.stderr
    assert live("plan", "--allow-partition-growth", "--exit-code").exit_code == 3
    assert live("apply", "--allow-partition-growth").exit_code == 0
    assert json.loads(live("streams", "--json").stdout)[0]["partitions"] == 2


def test_pruning_needs_consent(live: Any) -> None:
    define(ORDER, OTHER)
    live("apply")
    define(ORDER)
    result = live("plan", "--exit-code")
    assert result.exit_code == 0
    assert "= keep Order_Packed__e" in result.stdout
    result = live("plan", "--prune", "--exit-code")
    assert result.exit_code == 3
    assert "- delete Order_Packed__e" in result.stdout

    result = live("apply", "--prune")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "error: USAGE: Order_Packed__e: delete the topic with 0 events: nobody can be asked"
    )
    assert "--yes" in result.stderr
    assert live("plan", "--prune", "--exit-code").exit_code == 3

    result = live("apply", "--prune", "--yes")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "deleted Order_Packed__e"
    assert live("plan", "--prune", "--exit-code").exit_code == 0


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 1), (b"\x04", 1)])
def test_a_terminal_is_asked(live: Any, spawn: Any, answer: bytes, status: int) -> None:
    define(ORDER, OTHER)
    live("apply")
    define(ORDER)
    ours, theirs = pty.openpty()
    process = spawn("apply", "--prune", stdin=theirs)
    os.close(theirs)
    question = b""
    while b"[y/N]" not in question:
        byte = process.stderr.read(1)
        assert byte, question
        question += byte
    assert b"Order_Packed__e: delete the topic with 0 events\nGo on?" in question
    os.write(ours, answer)
    assert process.wait() == status
    os.close(ours)
    rest = process.stderr.read().decode()
    assert ("nothing was changed" in rest) == (status == 1)
    names = [entry["name"] for entry in json.loads(live("streams", "--json").stdout)]
    assert ("Order_Packed__e" in names) == (status == 1)


def publish(settings: Any, name: str, count: int) -> None:
    with EventBus(settings) as bus:
        bus.publish_many(name, [{"order_id": str(number)} for number in range(count)])


def test_pruning_says_how_many_events_go(live: Any, settings: Any, tmp_path: Path) -> None:
    define(ORDER, CHANNEL, OTHER)
    live("apply")
    publish(settings, "Order_Placed__e", 3)
    define(OTHER)
    lines = live("plan", "--prune").stdout.splitlines()
    assert "    delete the topic with 3 events" in lines
    assert (
        "    delete its topics with 0 events and 0 dead letters; its members keep theirs" in lines
    )
    document = json.loads(live("plan", "--prune", "--json").stdout)
    confirm = {change["name"]: change["confirm"] for change in document["changes"]}
    assert confirm["Order_Placed__e"] == ["delete the topic with 3 events"]
    assert confirm["Order_Packed__e"] == []


@pytest.mark.parametrize("part", ["a file", "a directory of it", "a directory with a project file"])
def test_pruning_needs_the_whole_project(cli: Any, part: str) -> None:
    define(ORDER)
    path = Path("schemas/definition0.yaml")
    if part != "a file":
        path = Path("schemas/billing")
        path.mkdir()
        (path / "other.yaml").write_text(OTHER)
    if part == "a directory with a project file":
        (path / "project.yaml").write_text("project: shop\n")
    for command in ("plan", "apply"):
        result = cli(command, path, "--prune")
        assert result.exit_code == 2
        assert result.stderr.startswith("error: USAGE: --prune deletes what is not defined in PATH")
        assert "whole directory" in result.stderr


@pytest.mark.parametrize("text", [None, "project: default\n"])
def test_pruning_needs_a_project_with_a_name(cli: Any, text: str | None) -> None:
    define(ORDER)
    project = Path("schemas/project.yaml")
    project.unlink()
    if text is not None:
        project.write_text(text)
    for command in ("plan", "apply"):
        result = cli(command, "--prune")
        assert result.exit_code == 2
        assert "write `project: NAME` into schemas/project.yaml" in result.stderr


def test_a_project_file_of_other_software_above_does_not_matter(live: Any) -> None:
    define(ORDER)
    for text in ("project: elsewhere\n", "name: x\n", "project: shop\nversion: 3\n", "[]"):
        Path("project.yaml").write_text(text)
        assert live("plan", "--prune").exit_code == 0


def test_a_project_without_definitions_can_be_pruned(live: Any) -> None:
    define(ORDER)
    live("apply")
    define()
    result = live("apply")
    assert result.exit_code == 1
    assert "no event is defined here" in result.stderr
    assert "--prune" in result.stderr
    assert "- delete Order_Placed__e" in live("plan", "--prune").stdout
    assert live("apply", "--prune", "--yes").exit_code == 0
    assert json.loads(live("streams", "--json").stdout) == []


def test_a_named_project_adopts_what_one_without_a_name_defined(live: Any) -> None:
    define(ORDER, CHANNEL, OTHER, project="default")
    live("apply")
    define(ORDER, CHANNEL)
    result = live("plan", "--prune")
    assert result.stdout.splitlines()[1:] == [
        "~ update Order_Placed__e",
        "    adopt it from the project default",
        "~ update Sales__chn",
        "    adopt it from the project default",
        "2 to update",
    ]
    result = live("apply")
    assert result.exit_code == 2
    assert "Order_Placed__e: adopt it from the project default" in result.stderr
    assert live("apply", "--yes").exit_code == 0
    assert live("plan", "--exit-code").exit_code == 0
    define(ORDER, project="other")
    assert "the project 'shop' owns it" in live("plan").stderr
    define(ORDER, project="default")
    assert "the project 'shop' owns it" in live("plan").stderr


def test_replacing_says_how_many_events_go_and_asks(live: Any, settings: Any) -> None:
    define(ORDER)
    live("apply")
    publish(settings, "Order_Placed__e", 2)
    define(ORDER.replace("double, default: 0.0", "string"))
    assert "apply --replace Order_Placed__e" in live("apply").stderr
    words = ("--replace", "Order_Placed__e")
    ask = "replace the topic with 2 events by an empty one; replay IDs from before are RECREATED"
    lines = live("plan", *words).stdout.splitlines()
    assert any(line.startswith(f"    {ask}") for line in lines)
    result = live("apply", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: USAGE: Order_Placed__e: {ask}")
    assert live("apply", *words, "--yes").exit_code == 0
    assert json.loads(live("streams", "--json").stdout)[0]["events"] == 0
    assert live("plan", "--exit-code").exit_code == 0


def test_a_shorter_retention_says_how_many_events_go_and_asks(live: Any, settings: Any) -> None:
    define(ORDER)
    live("apply")
    define(ORDER + "retention: 60h\n")
    assert live("apply").exit_code == 0, "there are no events that could go"
    name = topic_of(settings, "Order_Placed__e")
    with Admin(settings) as admin:
        admin.configure(name, {"message.timestamp.type": "CreateTime"})
        produce_at(settings, name, time.time() - 10 * 3600, time.time() - 5 * 3600, time.time())
        admin.configure(name, {"message.timestamp.type": "LogAppendTime"})
    define(ORDER + "retention: 8h\n")
    assert "    1 of 3 events are older than 8h and go" in live("plan").stdout.splitlines()
    result = live("apply")
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "error: USAGE: Order_Placed__e: 1 of 3 events are older than 8h and go: nobody can be asked"
    )
    define(ORDER + "retention: 90h\n")
    assert live("apply").exit_code == 0
    with Admin(settings) as admin:
        admin.configure(name, {"retention.ms": "-1"})
    assert "    0 of 3 events are older than 90h and go" in live("plan").stdout.splitlines()
    assert live("apply").exit_code == 2
    assert live("apply", "--yes").exit_code == 0
    define(ORDER + "retention: 8h\n")
    assert live("apply", "--yes").exit_code == 0


def produce_at(settings: Any, topic: str, *times: float) -> None:
    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for moment in times:
        producer.produce(topic, b"x", timestamp=int(moment * 1000))
    assert producer.flush(10) == 0


def test_wrong_definitions_are_refused_before_a_broker_is_asked(cli: Any) -> None:
    define("event: nonsense\n")
    for command in ("plan", "apply"):
        result = cli(command)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: INVALID_DEFINITIONS: ")
