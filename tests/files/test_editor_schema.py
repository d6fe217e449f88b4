"""The JSON Schemas that editors use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import platform_events.files
from platform_events.files.channel_file import KnownEvents, read_channel
from platform_events.files.document import Report
from platform_events.files.editor_schema import (
    CHANNEL_SCHEMA,
    DIRECTORY,
    EVENT_SCHEMA,
    PROJECT_SCHEMA,
    channel_schema,
    event_schema,
    header,
    project_schema,
    write_schemas,
)
from platform_events.files.yaml_document import read_yaml
from tests.files.reading import ONE_FIELD, event, read

PACKAGE = Path(platform_events.files.__file__).parent
REPOSITORY = Path(__file__).parents[2]

jsonschema = pytest.importorskip("jsonschema")
EVENT = jsonschema.Draft202012Validator(event_schema())
CHANNEL = jsonschema.Draft202012Validator(channel_schema())
PROJECT = jsonschema.Draft202012Validator(project_schema())


@pytest.mark.parametrize("directory", [PACKAGE, REPOSITORY / "schemas" / DIRECTORY])
def test_committed_files_are_up_to_date(directory: Path, tmp_path: Path) -> None:
    for path in write_schemas(tmp_path / "new"):
        assert (directory / path.name).read_text() == path.read_text(), (
            "run platform_events.files.editor_schema.write_schemas"
        )


def test_they_are_json_schemas() -> None:
    for schema in (event_schema(), channel_schema(), project_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_examples_name_their_schema() -> None:
    example = PACKAGE / "example"
    for name, schema in (("project.yaml", PROJECT_SCHEMA), ("Order_Placed__e.yaml", EVENT_SCHEMA)):
        assert (example / name).read_text().startswith(header(schema) + "\n")
    channel = (example / "channels" / "Large_Orders__chn.yaml").read_text()
    assert channel.splitlines()[0].endswith(f"$schema=../{DIRECTORY}/{CHANNEL_SCHEMA}")
    assert (REPOSITORY / "schemas" / DIRECTORY / EVENT_SCHEMA).is_file()


def plain(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def test_the_examples_are_valid() -> None:
    example = PACKAGE / "example"
    EVENT.validate(plain((example / "Order_Placed__e.yaml").read_text()))
    CHANNEL.validate(plain((example / "channels" / "Large_Orders__chn.yaml").read_text()))
    PROJECT.validate(plain((example / "project.yaml").read_text()))


def read_as_channel(text: str) -> list[str]:
    """Return the problems of a channel whose project has the events A__e and B__e."""
    report = Report("f")
    root = read_yaml(text, report)
    assert root is not None
    found = {name: event(f"event: {name}\n{ONE_FIELD}") for name in ("A__e", "B__e")}
    read_channel(root, report, KnownEvents(found, found.keys()))
    return [str(problem) for problem in report.problems]


def verdicts(text: str) -> tuple[bool, bool]:
    """Return whether the loader and the editor's schema accept a channel or an event."""
    if "member" in text or text.startswith("channel"):
        return not read_as_channel(text), CHANNEL.is_valid(plain(text))
    avro = {"type": "record", "name": "A__e", "fields": []}
    return not read(text, avro)[1], EVENT.is_valid(plain(text))


@pytest.mark.parametrize(
    "text",
    [
        f"event: A__e\nx-a: {{b: 1}}\n{ONE_FIELD}",
        "event: A__e\navro: x/a.avsc\n",
        "event: A__e\npartitions: 3\npartition_key: a\n" + ONE_FIELD,
        "event: A__e\nfields: [{name: a, type: [null, {type: int, logicalType: date}]}]\n",
        "event: A__e\nfields: [{name: a, type: {type: array, items: {type: int}}}]\n",
        "event: A__e\nfields: [{name: a, type: {type: fixed, name: F, size: 4, x-why: 1}}]\n",
        "channel: C__chn\nmembers: [{event: A__e}]\n",
        "channel: C__chn\nmembers: [{event: A__e, filter: a = 'x', from: now, x-a: 1}]\nx-b: 2\n",
        "channel: C__chn\nretention: 30d\npartitions: 1\nmembers: [{event: A__e}]\n",
        "channel: C__chn\nmembers: [{event: A__e, from: earliest}, {event: B__e}]\n",
    ],
)
def test_both_accept(text: str) -> None:
    assert verdicts(text) == (True, True)


@pytest.mark.parametrize(
    "text",
    [
        ONE_FIELD,
        "event: A__e\n",
        f"event: A\n{ONE_FIELD}",
        f"event: A__e\nlable: a\n{ONE_FIELD}",
        f"event: A__e\nlabel: 3\n{ONE_FIELD}",
        f"event: A__e\nretention: 72\n{ONE_FIELD}",
        f"event: A__e\nretention: 3 h\n{ONE_FIELD}",
        f"event: A__e\npartitions: 0\n{ONE_FIELD}",
        f"event: A__e\npartitions: 1001\n{ONE_FIELD}",
        f"event: A__e\npartitions: 2\n{ONE_FIELD}",
        f"event: A__e\navro: a.avsc\n{ONE_FIELD}",
        "event: A__e\navro: a.json\n",
        "event: A__e\nfields: {}\n",
        "event: A__e\nfields: [{type: int}]\n",
        "event: A__e\nfields: [{name: a}]\n",
        "event: A__e\nfields: [{name: a b, type: int}]\n",
        "event: A__e\nfields: [{name: a, type: enum}]\n",
        "event: A__e\nfields: [{name: a, type: timestamp-millis}]\n",
        "event: A__e\nfields: [{name: a, type: int, symbols: [A]}]\n",
        "event: A__e\nfields: [{name: a, type: [[int]]}]\n",
        "event: A__e\nfields: [{name: a, type: []}]\n",
        "event: A__e\nfields: [{name: a, type: {type: array}}]\n",
        "event: A__e\nfields: [{name: a, type: {type: enum, name: E, symbols: [a b]}}]\n",
        "event: A__e\nfields: [{name: a, type: {type: int, logicalType: uuid}}]\n",
        "event: A__e\nfields: [{name: a, type: {type: bytes, logicalType: decimal}}]\n",
        "event: A__e\nfields: [{name: a, type: {type: fixed, name: F, size: 0}}]\n",
        "event: A__e\nfields: [{name: a, type: int, optional: 1}]\n",
        "event: A__e\nfields: [{name: a, type: int, doc: 1}]\n",
        "channel: C__chn\n",
        "members: [{event: A__e}]\n",
        "channel: C__e\nmembers: [{event: A__e}]\n",
        "channel: C__chn\nmembers: []\n",
        "channel: C__chn\nmembers: {event: A__e}\n",
        "channel: C__chn\nmembers: [A__e]\n",
        "channel: C__chn\nmembers: [{filter: a = 'x'}]\n",
        "channel: C__chn\nmembers: [{event: D__chn}]\n",
        "channel: C__chn\nmembers: [{event: A__e, from: latest}]\n",
        "channel: C__chn\nmembers: [{event: A__e, filter: 1}]\n",
        "channel: C__chn\nmembers: [{event: A__e, filter: ' '}]\n",
        "channel: C__chn\nmembers: [{event: A__e, flter: a}]\n",
        "channel: C__chn\nretention: 72\nmembers: [{event: A__e}]\n",
        "channel: C__chn\nowner: 1\nmembers: [{event: A__e}]\n",
    ],
)
def test_both_refuse(text: str) -> None:
    assert verdicts(text) == (False, False)


@pytest.mark.parametrize("text", ["project: a-1\nx-y: 1\n", "project: a\ndescription: b\n"])
def test_project_files_are_valid(text: str) -> None:
    PROJECT.validate(plain(text))


@pytest.mark.parametrize("text", ["project: A\n", "project: 1\n", "prject: a\n", "{}", "[]"])
def test_wrong_project_files_are_not(text: str) -> None:
    assert not PROJECT.is_valid(plain(text))
