"""`import salesforce`: no broker is needed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from platform_events.definitions.model import Member
from platform_events.files.loader import load_definitions
from tests.files.metadata import channel, field, member, source_format

PROJECT = source_format(
    "Order_Placed__e", field("Amount__c", "Number"), publishBehavior="PublishAfterCommit"
) | {
    "force-app/channels/C__chn.platformEventChannel-meta.xml": channel(),
    "force-app/channels/C.platformEventChannelMember-meta.xml": member(
        "C__chn", "Order_Placed__e", expression="Amount__c>10.50"
    ),
    "force-app/.hidden/A__e.object": "not XML",
    "force-app/classes/Orders.cls": "not XML",
}


def write(files: dict[str, str]) -> None:
    for name, content in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_a_project_becomes_definitions_that_are_valid(cli: Any) -> None:
    write(PROJECT)
    result = cli("import", "salesforce", "force-app")
    assert result.exit_code == 0
    written = result.stdout.splitlines()
    assert written == [
        "schemas/.schema/channel.schema.json",
        "schemas/.schema/event.schema.json",
        "schemas/.schema/project.schema.json",
        "schemas/Order_Placed__e.yaml",
        "schemas/channels/C__chn.yaml",
        "schemas/project.yaml",
    ]
    note, summary, advice = result.stderr.splitlines()
    assert advice == "Next: platform-events check, then platform-events plan"
    assert note.startswith("note: force-app/main/default/objects/Order_Placed__e/")
    assert summary == "events: 1, channels: 1, notes on what has no counterpart: 1"
    for name in (name for name in written if name.endswith(".yaml")):
        schema = Path(name).read_text().splitlines()[0].split("$schema=")[1]
        assert (Path(name).parent / schema).is_file()
    definitions = load_definitions(Path("schemas"))
    assert definitions.project == Path.cwd().name
    assert definitions.channels["C__chn"].members == (Member("Order_Placed__e", "Amount__c>10.50"),)
    assert cli("check").exit_code == 0


def test_nothing_is_overwritten(cli: Any) -> None:
    write(PROJECT | {"out/Order_Placed__e.yaml": "mine"})
    result = cli("import", "salesforce", "force-app", "--out", "out")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "error: USAGE: already there: out/Order_Placed__e.yaml; nothing was written"
    )
    assert [path.name for path in Path("out").iterdir()] == ["Order_Placed__e.yaml"]
    assert Path("out/Order_Placed__e.yaml").read_text() == "mine"


def test_files_of_a_path_that_is_given_twice_count_once(cli: Any, tmp_path: Path) -> None:
    write(PROJECT)
    fields = "force-app/main/default/objects/Order_Placed__e/fields"
    inside = tmp_path / "workplace" / fields
    assert cli("import", "salesforce", "force-app", "./force-app/main", inside).exit_code == 0


def test_a_field_s_file_alone_knows_its_event(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write(PROJECT)
    monkeypatch.chdir("force-app/main/default/objects/Order_Placed__e/fields")
    result = cli("import", "salesforce", ".", "../Order_Placed__e.object-meta.xml")
    assert result.exit_code == 0
    assert "Amount__c" in Path("schemas/Order_Placed__e.yaml").read_text()


@pytest.mark.parametrize(
    ("files", "arguments", "status", "error"),
    [
        ({"empty/README.md": ""}, ["empty"], 1,
         "INVALID_DEFINITIONS: empty: no platform event is defined here; give the folder"),
        ({}, ["nowhere"], 2, "USAGE: invalid value for 'PATH...': Path 'nowhere' does not exist"),
        ({}, [], 2, "USAGE: missing argument 'PATH...'"),
        ({"a/A__e.object": "<a>", "b/A__e.object": ""}, ["a"], 1,
         "INVALID_DEFINITIONS: a/A__e.object:1:4: not valid XML: no element found"),
        (PROJECT | {"b/Order_Placed__e.object": PROJECT[next(iter(PROJECT))]}, ["b", "force-app"],
         1, ("INVALID_DEFINITIONS: force-app/main/default/objects/Order_Placed__e/Order_Placed__e."
         "object-meta.xml:2: Order_Placed__e is defined in b/Order_Placed__e.object too;")),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_written(
    cli: Any, files: dict[str, str], arguments: list[str], status: int, error: str
) -> None:
    write(files)
    result = cli("import", "salesforce", *arguments)
    assert result.exit_code == status
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {error}")
    assert not Path("schemas").exists()


def test_where_not_everything_can_be_written_nothing_is(cli: Any) -> None:
    write(PROJECT | {"schemas/channels": ""})
    result = cli("import", "salesforce", "force-app")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: IO: schemas/channels")
    assert [path.name for path in Path("schemas").rglob("*") if path.is_file()] == ["channels"]


def test_a_pipe_is_no_metadata(cli: Any) -> None:
    write(PROJECT)
    os.mkfifo("force-app/B__e.object")
    assert cli("import", "salesforce", "force-app").exit_code == 0
