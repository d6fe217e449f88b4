"""`init` and `check`: no broker is needed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from platform_events.files.loader import load_definitions

REPOSITORY = Path(__file__).parents[2]
EVENT = """
event: {name}
fields:
  - {{name: order_id, type: string}}
  - {{name: amount, type: double}}
"""
CHANNEL = """
channel: {name}
members:
  - event: A__e
    filter: amount >= 10
  - {{event: B__e, from: now}}
"""


def write(name: str, text: str = EVENT) -> Path:
    path = Path("schemas") / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.format(name=path.stem))
    return path


def write_channel(name: str, text: str = CHANNEL) -> None:
    Path("schemas/channels").mkdir(exist_ok=True)
    write(f"channels/{name}", text)


def commit() -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *words], check=True)


def test_init_writes_an_example_that_is_valid(cli: Any) -> None:
    result = cli("init")
    assert result.exit_code == 0
    written = result.stdout.splitlines()
    assert "schemas/project.yaml" in written
    assert all(Path(name).is_file() for name in written)
    definitions = load_definitions(Path("schemas"))
    assert (list(definitions.events), list(definitions.channels)) == (
        ["Order_Placed__e"],
        ["Large_Orders__chn"],
    )
    assert cli("check").exit_code == 0


def test_the_repository_has_what_init_writes(cli: Any) -> None:
    for name in cli("init", "default/schemas").stdout.splitlines():
        path = Path(name).relative_to("default/schemas")
        text = Path(name).read_text().replace("project: my-project", "project: default")
        assert text == (REPOSITORY / "schemas" / path).read_text()


@pytest.mark.parametrize(
    ("arguments", "up", "apply"),
    [
        ([], "platform-events up", "platform-events apply"),
        (["my shop"], "platform-events up --schemas 'my shop'", "platform-events apply 'my shop'"),
    ],
)
def test_init_says_what_to_type_next(cli: Any, arguments: list[str], up: str, apply: str) -> None:
    said = [line.partition("#")[0].strip() for line in cli("init", *arguments).stderr.splitlines()]
    commands = [line for line in said if "platform-events" in line]
    assert commands[0] == up
    assert commands[-1] == apply
    assert "publish Order_Placed__e" in commands[1]
    assert "subscribe Large_Orders__chn" in commands[2]


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        ("Web-Shop 2", "web-shop-2"),
        ("Büro.Café", "buro-cafe"),
        ("_x_", "x"),
        ("default", "my-project"),
        ("日本", "my-project"),
        ("a" * 79 + "-b", "a" * 79),
    ],
)
def test_init_names_the_project_after_the_folder_above(cli: Any, folder: str, project: str) -> None:
    cli("init", f"{folder}/schemas")
    assert load_definitions(Path(folder) / "schemas").project == project


def test_init_brings_the_editors_schemas_where_the_files_look_for_them(cli: Any) -> None:
    cli("init", "shop")
    paths = list(Path("shop").rglob("*.yaml"))
    assert len(paths) == 3
    for path in paths:
        schema = path.read_text().splitlines()[0].split("$schema=")[1]
        assert json.loads((path.parent / schema).read_text())["type"] == "object"


def test_init_overwrites_nothing(cli: Any) -> None:
    project = Path("schemas/project.yaml")
    project.parent.mkdir()
    project.write_text("project: mine\n")
    result = cli("init")
    assert result.exit_code == 2
    assert (
        result.stderr == "error: USAGE: already there: schemas/project.yaml; nothing was written\n"
    )
    assert project.read_text() == "project: mine\n"
    assert list(project.parent.iterdir()) == [project]


def test_init_where_nothing_can_be_written(cli: Any) -> None:
    Path("file").write_text("")
    result = cli("init", "file")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: IO: file")
    assert len(result.stderr.splitlines()) == 1


def test_check_counts_and_lists(cli: Any) -> None:
    write("B__e")
    write("A__e")
    result = cli("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "A__e  schemas/A__e.yaml",
        "B__e  schemas/B__e.yaml",
        "2 events are valid, project default",
    ]
    document = json.loads(cli("check", "--json", "schemas/A__e.yaml").stdout)
    assert document["project"] == "default"
    (event,) = document["events"]
    assert event == {
        "name": "A__e",
        "file": "schemas/A__e.yaml",
        "schema_id": load_definitions(Path("schemas")).events["A__e"].schema.id,
        "partitions": 1,
        "partition_key": None,
        "retention": "72h",
    }


def test_check_prints_every_problem_on_a_line_of_its_own(cli: Any) -> None:
    write("A__e", "event: A__e\nfield: []\npartitions: lots\n")
    write("B__e", "event: B\nfields: []\n")
    result = cli("check")
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("error: INVALID_DEFINITIONS: schemas/") for line in lines)
    assert any("A__e.yaml:2:1: " in line and "did you mean fields?" in line for line in lines)


def test_check_without_definitions(cli: Any) -> None:
    result = cli("check", "nowhere")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: INVALID_DEFINITIONS: nowhere: ")


def test_check_against_a_revision(cli: Any) -> None:
    write("Same__e")
    write("Broken__e")
    write("Grown__e")
    write("Gone__e")
    commit()
    write("Broken__e", EVENT.replace("double", "string"))
    write("Grown__e", EVENT + "  - {{name: note, type: string, optional: true}}\n")
    write("New__e")
    Path("schemas/Gone__e.yaml").unlink()

    result = cli("check", "--against", "git:HEAD")
    assert result.exit_code == 1
    verdicts = {line.split()[1]: line.split()[0] for line in result.stdout.splitlines()[:-1]
                if not line.startswith(" ")}  # fmt: skip
    assert verdicts == {
        "Broken__e": "BREAKING",
        "Gone__e": "removed",
        "Grown__e": "compatible",
        "New__e": "new",
        "Same__e": "unchanged",
    }
    after = result.stdout.split("Broken__e\n")[1].splitlines()[0]
    assert after.startswith("    amount: ")
    assert result.stderr.startswith("error: BREAKING_CHANGE: Broken__e: ")
    assert len(result.stderr.splitlines()) == 1

    document = json.loads(cli("check", "--against", "git:HEAD", "--json").stdout)
    assert document["against"] == "git:HEAD"
    assert {event["name"]: event["verdict"] for event in document["events"]} == verdicts
    (broken,) = [event for event in document["events"] if event["verdict"] == "BREAKING"]
    assert broken["breaks"][0].startswith("amount: ")


def test_check_against_names_the_change_its_place_who_suffers_and_the_ways_out(cli: Any) -> None:
    write("A__e")
    commit()
    write("A__e", EVENT.replace("double", "string"))
    lines = cli("check", "--against", "git:HEAD").stdout.splitlines()
    assert lines[1] == (
        "    amount: retyped from double to string (schemas/A__e.yaml:5:12): breaks readers of new "
        "events and old events; add an optional field beside it, give the event a new name, write "
        "compatibility: none or begin the stream again with apply --replace A__e"
    )
    write("A__e", EVENT.replace("double", "string") + "compatibility: none\n")
    result = cli("check", "--against", "git:HEAD")
    assert result.exit_code == 0
    assert result.stdout.startswith("compatible  A__e\n")
    assert "breaks readers of new events and old events; compatibility: none allows it" in (
        result.stdout
    )


@pytest.mark.parametrize("path", ["definitions", "definitions/Other.yaml"])
def test_check_against_a_revision_with_other_names_of_files(cli: Any, path: str) -> None:
    write("A__e")
    commit()
    Path("schemas").rename("definitions")
    Path("definitions/A__e.yaml").rename("definitions/Other.yaml")
    Path("definitions/Other.yaml").write_text(EVENT.format(name="A__e").replace("double", "string"))
    result = cli("check", path, "--against", "git:HEAD")
    assert result.exit_code == 1
    assert result.stdout.startswith("BREAKING    A__e\n    amount: ")


@pytest.mark.parametrize("path", ["schemas", "schemas/A__e.yaml"])
def test_check_against_a_revision_without_breaks_succeeds(cli: Any, path: str) -> None:
    write("A__e")
    commit()
    result = cli("check", path, "--against", "git:HEAD")
    assert result.exit_code == 0
    assert result.stdout.startswith("unchanged   A__e\n")


def test_fewer_partitions_and_another_key_break(cli: Any) -> None:
    keyed = EVENT + "partitions: 4\npartition_key: order_id\n"
    for name in ("Fewer__e", "Key__e", "More__e"):
        write(name, keyed)
    commit()
    write("Fewer__e", keyed.replace("4", "2"))
    write("Key__e", keyed.replace("key: order_id", "key: CreatedById"))
    write("More__e", keyed.replace("4", "8"))
    document = json.loads(cli("check", "--against", "git:HEAD", "--json").stdout)
    assert {event["name"]: event["verdict"] for event in document["events"]} == {
        "Fewer__e": "BREAKING",
        "Key__e": "BREAKING",
        "More__e": "compatible",
    }


def test_check_against_an_unknown_revision(cli: Any) -> None:
    write("A__e")
    commit()
    result = cli("check", "--against", "git:nope")
    assert result.exit_code == 2
    assert "git knows no revision 'nope'" in result.stderr


def test_check_counts_and_lists_channels(cli: Any) -> None:
    write("A__e")
    write("B__e")
    write_channel("C__chn")
    result = cli("check")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-2:] == [
        "C__chn  schemas/channels/C__chn.yaml",
        "2 events and 1 channel are valid, project default",
    ]
    document = json.loads(cli("check", "--json").stdout)
    assert document["channels"] == [
        {
            "name": "C__chn",
            "file": "schemas/channels/C__chn.yaml",
            "members": [
                {"event": "A__e", "filter": "amount >= 10", "from": "earliest"},
                {"event": "B__e", "filter": None, "from": "now"},
            ],
            "partitions": 1,
            "retention": "72h",
        }
    ]


def test_a_filter_s_mistake_is_shown_below_the_error(cli: Any) -> None:
    write("A__e")
    write("B__e")
    write_channel("C__chn", CHANNEL.replace("amount >=", "amont >="))
    result = cli("check")
    assert result.exit_code == 1
    error, line, carets = result.stderr.splitlines()
    assert error.startswith(
        "error: INVALID_DEFINITIONS: schemas/channels/C__chn.yaml:5:13: members[0].filter: "
    )
    assert error.endswith("did you mean amount?")
    assert (line, carets) == ("        filter: amont >= 10", "                ^~~~~")


def test_check_against_judges_channels(cli: Any) -> None:
    for name in ("A__e", "B__e"):
        write(name, EVENT + "partitions: 4\npartition_key: order_id\n")
    for name in ("Same__chn", "Changed__chn", "Gone__chn"):
        write_channel(name)
    write_channel("Fewer__chn", CHANNEL + "partitions: 4\n")
    commit()
    write_channel("Changed__chn", CHANNEL.replace("amount >= 10", "amount >= 20"))
    write_channel("Fewer__chn", CHANNEL + "partitions: 1\n")
    write_channel("New__chn")
    Path("schemas/channels/Gone__chn.yaml").unlink()

    result = cli("check", "--against", "git:HEAD", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert {one["name"]: one["verdict"] for one in document["channels"]} == {
        "Changed__chn": "compatible",
        "Fewer__chn": "BREAKING",
        "Gone__chn": "removed",
        "New__chn": "new",
        "Same__chn": "unchanged",
    }
    assert {one["verdict"] for one in document["events"]} == {"unchanged"}
    assert all("kind" not in one for one in (*document["events"], *document["channels"]))
    assert "filter of A__e: amount >= 10 -> amount >= 20" in (
        cli("check", "--against", "git:HEAD").stdout
    )


def test_a_field_that_a_filter_used_is_not_dropped(cli: Any) -> None:
    optional = EVENT.replace("double", "double, optional: true")
    write("A__e", optional)
    write("B__e")
    write_channel("C__chn")
    commit()
    write("A__e", optional.replace("  - {{name: amount, type: double, optional: true}}\n", ""))
    write_channel("C__chn", CHANNEL.replace("amount >= 10", "order_id = 'x'"))
    document = json.loads(cli("check", "--against", "git:HEAD", "--json").stdout)
    verdicts = {one["name"]: one["verdict"] for one in document["events"]}
    assert verdicts == {"A__e": "BREAKING", "B__e": "unchanged"}
    (reason,) = document["events"][0]["breaks"]
    assert reason.startswith("the filter of C__chn uses amount;")
