"""Event files, read for tests."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

from platform_events.definitions.model import EventDefinition
from platform_events.files.document import Report
from platform_events.files.event_file import read_event
from platform_events.files.json_document import read_json
from platform_events.files.yaml_document import read_yaml

ONE_FIELD = "fields: [{name: a, type: string}]\n"


def read(text: str, avro: Any = None) -> tuple[EventDefinition | None, list[str]]:
    """Read an event, and the .avsc file that it may name; return it and all problems."""
    report, own = Report("f"), Report("f.avsc")

    def open_avro(_: Any) -> Any:
        root = read_json(avro if isinstance(avro, str) else json.dumps(avro), own)
        return root and (root, own)

    root = read_yaml(dedent(text), report)
    assert root is not None
    event = read_event(root, report, open_avro)
    return event, [str(problem) for problem in report.problems + own.problems]


def event(text: str, avro: Any = None) -> EventDefinition:
    found, problems = read(text, avro)
    assert not problems
    assert found is not None
    return found


def fields_of(text: str) -> list[dict[str, Any]]:
    """Return the schema's fields after the system fields."""
    return json.loads(event(text).schema.text)["fields"][2:]


def field(text: str) -> dict[str, Any]:
    (found,) = fields_of(f"event: A__e\nfields:\n  - {text}\n")
    return found


def problems_of_field(text: str) -> list[str]:
    found, problems = read(f"event: A__e\nfields:\n  - {text}\n")
    assert found is None
    return problems
