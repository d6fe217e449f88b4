"""From the objects and fields of platform events to event definitions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from platform_events.definitions.schema import SYSTEM_FIELDS

if TYPE_CHECKING:
    from platform_events.files.salesforce.elements import Element, Findings

TYPES = {
    "Checkbox": "boolean",
    "Date": "long",
    "DateTime": "long",
    "LongTextArea": "string",
    "Number": "double",
    "Text": "string",
}
"""Avro types by the types that fields of platform events have, as the Pub/Sub API shows them."""
TIMES = {
    "Date": "Midnight UTC of the day, in milliseconds since 1970-01-01.",
    "DateTime": "Milliseconds since 1970-01-01 UTC.",
}
"""What the number of a field of these types means."""

_OBJECT_PARTS = {
    *("description", "eventType", "fields", "fullName", "label", "publishBehavior"),
    *("deploymentStatus", "gender", "pluralLabel", "startsWith"),
}
_FIELD_PARTS = {
    *("defaultValue", "description", "fullName", "inlineHelpText", "required", "type"),
    *("label", "length", "precision", "scale", "visibleLines"),
}
"""What is read, and in the second line what every event or field has that stays without effect."""
_USUAL = {"publishBehavior": "PublishImmediately", "eventType": "HighVolume"}

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_TEXT = re.compile(r"'([^'\\]*)'|\"([^\"\\]*)\"")


@dataclass(slots=True)
class EventMetadata:
    """One event: its object, and its fields from wherever they are."""

    name: str
    root: Element | None = None
    """The object; None while only fields were found."""
    fields: list[Element] = field(default_factory=list)

    def field_types(self) -> dict[str, str]:
        """Return the types in Salesforce by the names of the fields."""
        return {one.text_of("fullName"): one.text_of("type") for one in self.fields}


def make_event(event: EventMetadata, findings: Findings) -> dict[str, Any] | None:
    """Return an event's definition as a document, None (remarked on) without its object."""
    if event.root is None:
        findings.add_remark(
            event.fields[0],
            f"a field of {event.name}, whose {event.name}.object-meta.xml is not among the files; "
            "left out",
        )
        return None
    findings.remark_on_others([event.root], _OBJECT_PARTS)
    for key, usual in _USUAL.items():
        value = event.root.text_of(key) or usual
        if value != usual:
            findings.add_remark(event.root, f"{key} {value} has no counterpart; it is as {usual}")
    made: dict[str, dict[str, Any]] = {}
    kept: dict[str, Element] = {}
    for element in event.fields:
        document = _make_field(element, findings)
        if document is None:
            continue
        key = document["name"].lower()
        if key in made:
            findings.add_problem(
                element,
                f"{event.name} has the field {document['name']} already, in "
                f"{kept[key].file}:{kept[key].line}; leave one of the two out",
            )
        made[key], kept[key] = document, element
    findings.remark_on_others(kept.values(), _FIELD_PARTS)
    return {"event": event.name, **texts_of(event.root), "fields": list(made.values())}


def texts_of(root: Element) -> dict[str, str]:
    """Return the label and description of an object or a channel, where it has them."""
    texts = {key: _one_line(root.text_of(key)) for key in ("label", "description")}
    return {key: text for key, text in texts.items() if text}


def _make_field(element: Element, findings: Findings) -> dict[str, Any] | None:
    """Return a field as definitions write it, None if it is left out."""
    name, kind = element.text_of("fullName"), element.text_of("type")
    if name in SYSTEM_FIELDS:
        return None
    if not _FIELD_NAME.fullmatch(name):
        findings.add_problem(element, "fullName is missing or no field's name; retrieve it again")
        return None
    if kind not in TYPES:
        reason = f"the type {kind}, which platform events do not have" if kind else "no type"
        findings.add_remark(element, f"the field {name} has {reason}; left out")
        return None
    document: dict[str, Any] = {"name": name, "type": TYPES[kind]}
    is_required = element.text_of("required").lower() == "true"
    default = _read_default(element, TYPES[kind], findings)
    if default is not None:
        if not is_required:
            # The branch of the default comes first.
            document["type"] = [TYPES[kind], "null"]
        document["default"] = default
    elif not is_required:
        document["optional"] = True
    doc = element.text_of("description") or element.text_of("inlineHelpText")
    doc = " ".join(filter(None, (_one_line(doc), TIMES.get(kind))))
    return {**document, "doc": doc} if doc else document


def _read_default(
    element: Element, avro_type: str, findings: Findings
) -> bool | float | str | None:
    """Return a default that is a constant; None if there is none, or (remarked on) a formula."""
    text = element.text_of("defaultValue")
    if avro_type == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if avro_type == "double" and _NUMBER.fullmatch(text):
        return float(text)
    quoted = _TEXT.fullmatch(text) if avro_type == "string" else None
    if quoted:
        return quoted[1] or quoted[2] or ""
    if text:
        name = element.text_of("fullName")
        findings.add_remark(
            element, f"the default of {name} is a formula; leave that to whoever publishes"
        )
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
