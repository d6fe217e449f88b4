"""From custom channels and their members to channel definitions."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from platform_events.definitions.schema import SYSTEM_FIELDS, Schema
from platform_events.files.notation import NAMESPACE
from platform_events.files.salesforce.events import TIMES, texts_of
from platform_events.names import NAME_RULE, is_channel_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from platform_events.files.salesforce.elements import Element, Findings
    from platform_events.filters.expression import Literal

_CHANNEL_PARTS = {"channelType", "fullName", "label"}
_MEMBER_PARTS = {"eventChannel", "filterExpression", "fullName", "selectedEntity"}
_MILLISECONDS = {"date": Fraction(86_400_000), "timestamp": Fraction(1, 1000)}
"""In one unit of a literal's value, by the literal's kind."""


def make_channels(
    channels: Mapping[str, Element],
    members: Iterable[Element],
    events: Mapping[str, dict[str, Any]],
    field_types: Mapping[str, Mapping[str, str]],
    findings: Findings,
) -> Iterator[dict[str, Any]]:
    """Yield the definitions of channels as documents, by name; what is left out is remarked on.

    Args:
        channels: by name.
        members: of all channels.
        events: the documents of the events that are imported, by name.
        field_types: types in Salesforce by event and field.
        findings: what is said about all this.
    """
    kept = {name: root for name, root in channels.items() if _is_kept(name, root, findings)}
    found: dict[str, dict[str, dict[str, str]]] = {name: {} for name in kept}
    places: dict[tuple[str, str], str] = {}
    for element in members:
        channel, event = element.text_of("eventChannel"), element.text_of("selectedEntity")
        first = places.setdefault((channel, event), element.file)
        if first != element.file:
            findings.add_problem(
                element, f"{event} is a member of {channel} in {first} too; leave one of them out"
            )
        elif channel not in kept:
            findings.add_remark(element, f"the channel {channel} is not imported; left out")
        elif event not in events:
            findings.add_remark(element, f"the event {event} is not imported; left out")
        else:
            member = _make_member(element, events[event], field_types[event], findings)
            if member is not None:
                found[channel][event] = member
    for name, own in sorted(found.items()):
        if not own:
            findings.add_remark(kept[name], f"no member of {name} is imported; left out")
            continue
        findings.remark_on_others([kept[name]], _CHANNEL_PARTS)
        listed = [own[event] for event in sorted(own)]
        yield {"channel": name, **texts_of(kept[name]), "members": listed}


def _is_kept(name: str, root: Element, findings: Findings) -> bool:
    kind = root.text_of("channelType") or "(none)"
    if kind == "event" and is_channel_name(name):
        return True
    reason = f"{name} cannot name a channel here ({NAME_RULE})"
    if kind != "event":
        reason = f"{name} is a channel of type {kind}, which has no counterpart"
    findings.add_remark(root, f"{reason}; left out")
    return False


def _make_member(
    element: Element, event: dict[str, Any], types: Mapping[str, str], findings: Findings
) -> dict[str, str] | None:
    """Return a member, None (remarked on) if its filter is refused.

    It is left out then, because a channel cannot take back what came in without the filter.
    """
    from platform_events.filters import FilterError, check_filter

    findings.remark_on_others([element], _MEMBER_PARTS)
    text = element.text_of("filterExpression")
    if not text:
        return {"event": event["event"]}
    try:
        text = _convert(text, element, types, findings)
        check_filter(text, _schema_of(event))
    except FilterError as error:
        findings.add_remark(
            element,
            f"the filter of {event['event']} is refused ({error.message}); left out, "
            "add the member with another filter",
        )
        return None
    return {"event": event["event"], "filter": text}


def _convert(text: str, element: Element, types: Mapping[str, str], findings: Findings) -> str:
    """Return a filter in which dates are the milliseconds that their fields have.

    Raises:
        FilterError: the text is not a filter.
    """
    from platform_events.filters import parse_filter
    from platform_events.filters.expression import comparisons_in

    comparisons = list(comparisons_in(parse_filter(text)))
    for name in sorted({one.path for one in comparisons if types.get(one.path) == "Checkbox"}):
        findings.add_remark(
            element,
            f"the filter compares the Checkbox {name}: Salesforce takes null as false, "
            "here null is neither",
        )
    literals = [
        literal for one in comparisons if types.get(one.path) in TIMES for literal in one.literals
    ]
    for literal in sorted(literals, key=lambda one: one.start, reverse=True):
        text = text[: literal.start] + _in_milliseconds(literal) + text[literal.end :]
    return text


def _in_milliseconds(literal: Literal) -> str:
    """Return a date or a time in whole milliseconds as a number; anything else as it is written."""
    if isinstance(literal.value, Fraction) and literal.kind in _MILLISECONDS:
        milliseconds = literal.value * _MILLISECONDS[literal.kind]
        if milliseconds.denominator == 1:
            return str(milliseconds)
    return literal.text


def _schema_of(event: dict[str, Any]) -> Schema:
    """Return the schema that an event's document comes to, without its docs and defaults."""
    fields = []
    for field in event["fields"]:
        avro_type = ["null", field["type"]] if field.get("optional") else field["type"]
        fields.append({"name": field["name"], "type": avro_type})
    return Schema.from_normal(
        {
            "type": "record",
            "name": event["event"],
            "namespace": NAMESPACE,
            "fields": [*SYSTEM_FIELDS.values(), *fields],
        }
    )
