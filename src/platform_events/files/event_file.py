"""Read one event definition from its document."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from platform_events.definitions.changes import COMPATIBILITIES
from platform_events.definitions.model import DEFAULT_RETENTION, EventDefinition
from platform_events.definitions.schema import SYSTEM_FIELDS, Schema
from platform_events.definitions.storage import explain_excess
from platform_events.files.common_keys import check_keys, read_choice, read_common, read_text
from platform_events.files.document import Node, Report
from platform_events.files.notation import (
    AVRO_PATH,
    EVENT_KEYS,
    KEY_KINDS,
    NAMESPACE,
    PROJECT,
    PROJECT_KEYS,
)
from platform_events.files.schema_reader import SchemaReader
from platform_events.files.schema_source import check_record, read_root
from platform_events.payloads.types import Leaf, parse_record
from platform_events.wording import shown, suggest

AvroSource = Callable[[Node], tuple[Node, Report] | None]
"""Opens the .avsc file that a value names; None if it cannot, which is reported."""

_PLACEHOLDER = "Event__e"
"""Stands for a name that is missing or wrong, so that the rest can be checked."""
_PROJECT = re.compile(PROJECT)
_AVRO_PATH = re.compile(AVRO_PATH)


@dataclass(frozen=True, slots=True)
class _Record:
    """A record that was read, and the document that it is in."""

    avro: dict[str, Any]
    fields: Node | None
    places: dict[tuple[str, str], str]
    report: Report


def read_project(root: Node, report: Report) -> str | None:
    """Return the project's name from `project.yaml`; None if there is a problem."""
    if not isinstance(root.value, dict):
        report.add(root, f"the project file is a mapping with project, not {root.describe()}")
        return None
    check_keys(root, PROJECT_KEYS, report)
    read_text(root, "description", report)
    name = root.get("project")
    if name is None:
        return None
    if not isinstance(name.value, str) or not _PROJECT.fullmatch(name.value):
        report.add(
            name,
            f"{name.describe()} cannot name a project: a-z, 0-9 and -, at most 80 characters",
        )
        return None
    return name.value


def read_event(root: Node, report: Report, open_avro: AvroSource) -> EventDefinition | None:
    """Return the event that a document defines; None if there is a problem."""
    if not isinstance(root.value, dict):
        report.add(root, f"an event file is a mapping with event and fields, not {root.describe()}")
        return None
    check_keys(root, EVENT_KEYS, report)
    name, texts, retention, partitions = read_common(root, "event", report)
    compatibility = read_choice(root, "compatibility", COMPATIBILITIES, report, guesses=True)
    if root.get("avro") is not None:
        record = _read_avro_file(root, name, report, open_avro)
    else:
        record = _read_fields(root, name or _PLACEHOLDER, texts["description"], report)
    key = _read_partition_key(root, record, report)
    if partitions > 1 and root.get("partition_key") is None:
        report.add_key(
            root.value["partitions"],
            "more than one partition needs partition_key, which says what stays in order",
        )
    if name is None or record is None or report.problems or record.report.problems:
        return None
    definition = EventDefinition(
        name=name,
        schema=Schema.from_normal(record.avro),
        **texts,
        retention_ms=retention or DEFAULT_RETENTION,
        partitions=partitions,
        partition_key=key,
        compatibility=compatibility,
        file=report.file,
        line=root.value["event"].mark.line,
        places=record.places,
    )
    excess = explain_excess(definition)
    if excess:
        report.add(root, excess)
    return definition


def _read_fields(root: Node, name: str, description: str, report: Report) -> _Record | None:
    fields = root.get("fields")
    if fields is None:
        report.add(root, "fields is missing: list the payload's fields, or name a file with avro")
        return None
    full = f"{NAMESPACE}.{name}"
    reader = SchemaReader(report, root, avro_file=False)
    reader.define(full, fields.key or fields.mark)
    avro: dict[str, Any] = {"type": "record", "name": name, "namespace": NAMESPACE}
    if description:
        avro["doc"] = description
    own = reader.read_fields(fields, full)
    for node in _field_nodes(fields).values():
        if node.value in SYSTEM_FIELDS:
            report.add(node, f"{node.value} is a system field that every event has; remove it")
    avro["fields"] = [
        *SYSTEM_FIELDS.values(),
        *(field for field in own if field["name"] not in SYSTEM_FIELDS),
    ]
    check_record(avro, reader.defaults, fields, report)
    return _Record(avro, fields, reader.places, report)


def _read_avro_file(
    root: Node, name: str | None, report: Report, open_avro: AvroSource
) -> _Record | None:
    path = root.get("avro")
    assert path is not None
    if root.get("fields") is not None:
        report.add_key(path, "give fields or avro, not both")
    if not isinstance(path.value, str) or not _AVRO_PATH.fullmatch(path.value):
        report.add_misfit(path, "the path of an .avsc file, with / between its parts")
        return None
    opened = open_avro(path)
    if opened is None:
        return None
    node, own = opened
    read = read_root(node, own)
    if read is None:
        return None
    avro, places = read
    if name is not None and avro["name"] != name:
        own.add(
            node.get("name") or node,
            f"the record's name must be that of the event, {name}, not {avro['name']}",
        )
    _insert_system_fields(avro, node.get("fields"), own)
    return _Record(avro, node.get("fields"), places, own)


def _insert_system_fields(avro: dict[str, Any], fields: Node | None, report: Report) -> None:
    given = {field["name"]: field for field in avro["fields"] if field["name"] in SYSTEM_FIELDS}
    nodes = _field_nodes(fields)
    for name, field in given.items():
        right = SYSTEM_FIELDS[name]["type"]
        if field["type"] != right:
            report.add(nodes[name], f'the system field {name} has the type "{right}"')
    in_order = [name for name in SYSTEM_FIELDS if name in given]
    if [field["name"] for field in avro["fields"][: len(given)]] != in_order:
        report.add(nodes[in_order[0]], f"{', '.join(SYSTEM_FIELDS)} come first, in this order")
    avro["fields"] = [
        *(given.get(name, SYSTEM_FIELDS[name]) for name in SYSTEM_FIELDS),
        *(field for field in avro["fields"] if field["name"] not in SYSTEM_FIELDS),
    ]


def _field_nodes(fields: Node | None) -> dict[str, Node]:
    """Return the values that name a record's fields, also of fields with problems."""
    items = fields.value if fields is not None and isinstance(fields.value, tuple) else ()
    names = (item.get("name") for item in items)
    return {node.value: node for node in names if node is not None and isinstance(node.value, str)}


def _read_partition_key(root: Node, record: _Record | None, report: Report) -> str | None:
    node = root.get("partition_key")
    if node is None:
        return None
    if not isinstance(node.value, str):
        report.add_misfit(node, "the name of a field")
        return None
    if record is None:
        return None
    key = node.value
    names = [*SYSTEM_FIELDS, *_field_nodes(record.fields)]
    if key not in names:
        report.add(node, f"there is no field {shown(key)}{suggest(key, names)}")
        return None
    try:
        top = parse_record(record.avro)
    except ValueError:
        return None
    for item in top.fields:
        if item.name == key and not (isinstance(item.type, Leaf) and item.type.kind in KEY_KINDS):
            report.add(
                node,
                f"the field {key} cannot be a key: it must be one of {', '.join(KEY_KINDS)} "
                "and never null",
            )
    return key
