"""Read a whole record schema and judge it once all its types are known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from platform_events.definitions.avro_types import (
    Record,
    Union,
    parse_record,
    records_in,
)
from platform_events.definitions.default_values import check_default
from platform_events.definitions.document import Report, in_order
from platform_events.definitions.json_document import read_json
from platform_events.definitions.schema_reader import SchemaReader
from platform_events.errors import DefinitionsError

if TYPE_CHECKING:
    from platform_events.definitions.document import Node


def read_source(source: str | dict[str, Any]) -> dict[str, Any]:
    """Return the normal form of a record schema given as JSON text or its Python objects.

    Raises:
        DefinitionsError: it is not an Avro schema that events can have; with every problem.
    """
    report = Report("schema")
    node = read_json(source if isinstance(source, str) else _dump(source, report), report)
    avro = read_root(node, report) if node is not None else None
    if avro is None or report.problems:
        raise DefinitionsError(in_order(report.problems))
    return avro


def read_root(node: Node, report: Report) -> dict[str, Any] | None:
    """Return the normal form of a document that is a record schema.

    With problems, which are in the report, it lacks the parts that have them.
    """
    reader = SchemaReader(report, node, avro_file=True)
    avro = reader.read_record(node)
    if avro is not None:
        check_record(avro, reader.defaults, node, report)
    return avro


def check_record(
    avro: dict[str, Any], defaults: dict[tuple[str, str], Node], root: Node, report: Report
) -> None:
    """Report what can be judged only when all types are known.

    `defaults` has the places of the fields' defaults, by full record name and field name.
    """
    try:
        top = parse_record(avro)
    except ValueError as error:
        report.add(root, str(error))
        return
    records = _all_records(top)
    for name in _endless(records):
        report.add(
            root,
            f"every {name} would contain another {name} without end; "
            'make the field optional: ["null", ...]',
        )
    for record in records:
        for item in record.fields:
            node = defaults.get((record.name, item.name))
            if node is not None:
                check_default(node, item.type, report)


def _dump(source: dict[str, Any], report: Report) -> str:
    try:
        return json.dumps(source)
    except (TypeError, ValueError, RecursionError) as error:
        report.add_file(f"not JSON: {error}")
        raise DefinitionsError(report.problems) from None


def _all_records(top: Record) -> list[Record]:
    found = {top: None}
    waiting = [top]
    while waiting:
        for item in waiting.pop().fields:
            for record in records_in(item.type):
                if record not in found:
                    found[record] = None
                    waiting.append(record)
    return list(found)


def _endless(records: list[Record]) -> list[str]:
    """Return the names of records of which no value can end, one for each cycle."""
    ending: set[Record] = set()
    grown = True
    while grown:
        more = {record for record in records if _next_in_cycle(record, ending) is None} - ending
        ending |= more
        grown = bool(more)
    names: dict[str, None] = {}
    for record in records:
        trail = [record]
        while (step := _next_in_cycle(trail[-1], ending)) is not None:
            if step in trail:
                names[min(item.name for item in trail[trail.index(step) :])] = None
                break
            trail.append(step)
    return list(names)


def _next_in_cycle(record: Record, ending: set[Record]) -> Record | None:
    """Return a record that every value contains and that is not known to end."""
    for item in record.fields:
        branches = item.type.branches if isinstance(item.type, Union) else (item.type,)
        endless = [part for part in branches if isinstance(part, Record) and part not in ending]
        if len(endless) == len(branches):
            return endless[0]
    return None
