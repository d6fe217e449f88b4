"""What both kinds of catalog entries have: whose they are, and which topics they had."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.catalog.changes import PlanOptions
    from platform_events.catalog.state import Entry
    from platform_events.definitions.model import Definition, Definitions


def exists(entry: Entry | None) -> bool:
    """Whether an event or channel is there, or an apply that makes or deletes it has begun."""
    return entry is not None and (entry.wanted is not None or entry.active is not None)


def is_absent(entry: Entry, desired: Definitions) -> bool:
    """Whether it belongs to the project of these definitions and is not among them."""
    defined: tuple[Mapping[str, Definition], ...] = (desired.events, desired.channels)
    return (
        exists(entry)
        and entry.project == desired.project
        and not any(entry.name in part for part in defined)
    )


def is_deleted(entry: Entry, desired: Definitions, options: PlanOptions) -> bool:
    """Whether an apply of these definitions deletes it, or finishes its deletion."""
    return is_absent(entry, desired) and (entry.wanted is None or options.prune)


def refuse_other_owner(entry: Entry | None, project: str) -> str | None:
    """Say that another project owns the name; None if none does."""
    if entry is None or not exists(entry) or entry.project == project:
        return None
    return (
        f"the project {entry.project!r} owns it, this is {project!r}; "
        "choose another name, or change it in that project's files"
    )


def with_latest(known: tuple[str, ...], latest: str | None) -> tuple[str, ...]:
    """Return IDs with the present one last."""
    if latest is None or (known and known[-1] == latest):
        return known
    return (*(one for one in known if one != latest), latest)
