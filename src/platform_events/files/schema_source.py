"""Read a whole record schema and judge it once all its types are known."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from platform_events.definitions.schema import Schema
from platform_events.errors import DefinitionsError
from platform_events.files.default_values import DefaultSizes, check_default
from platform_events.files.document import Report, TooManyProblemsError, in_order
from platform_events.files.json_document import read_json
from platform_events.files.schema_reader import SchemaReader
from platform_events.payloads.types import Record, parse_record, records_in

if TYPE_CHECKING:
    from platform_events.files.document import Node


def parse_schema(source: str | dict[str, Any]) -> Schema:
    """Read a record schema from JSON text or its Python objects.

    Raises:
        DefinitionsError: it is not an Avro schema that events can have; with every problem.
    """
    report = Report("schema")
    read = None
    with suppress(TooManyProblemsError):
        node = read_json(source if isinstance(source, str) else _dump(source, report), report)
        read = read_root(node, report) if node is not None else None
    if read is None or report.problems:
        raise DefinitionsError(in_order(report.problems))
    return Schema.from_normal(read[0])


def read_root(
    node: Node, report: Report
) -> tuple[dict[str, Any], dict[tuple[str, str], str]] | None:
    """Return the normal form of a document that is a record schema, and where its fields are.

    With problems, which are in the report, it lacks the parts that have them.
    """
    reader = SchemaReader(report, node, avro_file=True)
    avro = reader.read_record(node)
    if avro is None:
        return None
    check_record(avro, reader.defaults, node, report)
    return avro, reader.places


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
    sizes = DefaultSizes()
    for record in _all_records(top):
        for item in record.fields:
            node = defaults.get((record.name, item.name))
            if node is not None:
                check_default(node, item.type, report)
                sizes.check(node, record, item, report)


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
