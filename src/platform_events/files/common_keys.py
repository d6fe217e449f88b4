"""The keys that events and channels have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from platform_events.definitions.durations import DURATION_RULE, format_duration, parse_duration
from platform_events.errors import UsageError
from platform_events.files.document import Node, Report, unknown_key
from platform_events.files.notation import (
    FREE_PREFIX,
    MAX_PARTITIONS,
    MAX_RETENTION,
    MIN_RETENTION,
    names_of,
)
from platform_events.names import NAME_RULE, is_channel_name, is_event_name
from platform_events.wording import one_of, suggest

if TYPE_CHECKING:
    from platform_events.files.notation import Key

_Choice = TypeVar("_Choice", bound=str)
_KINDS = {
    "event": ("an event", "__e", is_event_name),
    "channel": ("a channel", "__chn", is_channel_name),
}


def check_keys(root: Node, keys: tuple[Key, ...], report: Report) -> None:
    """Report keys that are unknown or missing."""
    entries = root.value if isinstance(root.value, dict) else {}
    for name, entry in entries.items():
        if name not in names_of(keys) and not name.startswith(FREE_PREFIX):
            report.add_key(entry, unknown_key(name, names_of(keys)))
    for key in keys:
        if key.required and key.name not in entries:
            report.add(root, f"{key.name} is missing: {key.meaning}")


def read_text(root: Node, key: str, report: Report) -> str:
    """Return the text of a key, empty if there is none or it has a problem."""
    node = root.get(key)
    if node is None:
        return ""
    if not isinstance(node.value, str):
        report.add_misfit(node, "text", "; put it in quotes")
        return ""
    return node.value


def read_choice(
    root: Node, key: str, choices: tuple[_Choice, ...], report: Report, *, guesses: bool = False
) -> _Choice:
    """Return the word of a key, the first of the choices if there is none or it has a problem.

    `guesses`: say what a misspelt one could mean.
    """
    node = root.get(key)
    if node is None:
        return choices[0]
    for choice in choices:
        if choice == node.value:
            return choice
    guess = suggest(node.value, choices) if guesses and isinstance(node.value, str) else ""
    report.add_misfit(node, one_of(choices), guess)
    return choices[0]


def read_common(
    root: Node, kind: Literal["event", "channel"], report: Report
) -> tuple[str | None, dict[str, str], int | None, int]:
    """Return name, texts for people by their keys, retention and partitions of a definition.

    Name and retention are None if there is none or it has a problem.
    """
    name = _read_name(root, kind, report)
    texts = {key: read_text(root, key, report) for key in ("label", "description", "owner")}
    if "\n" in texts["label"]:
        report.add(root.get("label") or root, "must be one line; write more in description")
    return name, texts, _read_retention(root, report), _read_partitions(root, report)


def _read_name(root: Node, kind: Literal["event", "channel"], report: Report) -> str | None:
    node = root.get(kind)
    if node is None:
        return None
    a_kind, suffix, is_of_kind = _KINDS[kind]
    if isinstance(node.value, str):
        if is_of_kind(node.value):
            return node.value
        for other, _, is_of_other in _KINDS.values():
            if is_of_other(node.value):
                report.add(node, f"this is {other}'s name; {a_kind}'s ends in {suffix}")
                return None
    report.add(node, f"{node.describe()} cannot name {a_kind}: {NAME_RULE}")
    return None


def _read_retention(root: Node, report: Report) -> int | None:
    node = root.get("retention")
    if node is None:
        return None
    if not isinstance(node.value, str):
        report.add_misfit(node, DURATION_RULE)
        return None
    try:
        retention = parse_duration(node.value)
    except UsageError as error:
        report.add(node, str(error))
        return None
    if not MIN_RETENTION <= retention <= MAX_RETENTION:
        low, high = format_duration(MIN_RETENTION), format_duration(MAX_RETENTION)
        report.add(node, f"must be from {low} to {high}, not {node.value}")
        return None
    return retention


def _read_partitions(root: Node, report: Report) -> int:
    node = root.get("partitions")
    if node is None:
        return 1
    if type(node.value) is not int or not 1 <= node.value <= MAX_PARTITIONS:
        report.add_misfit(node, f"a whole number from 1 to {MAX_PARTITIONS}")
        return 1
    return node.value
