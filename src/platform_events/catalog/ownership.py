"""What both kinds of catalog entries have: whose they are, and which topics they had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_events.catalog.changes import Action
from platform_events.definitions.model import DEFAULT_PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.catalog.changes import PlanOptions
    from platform_events.catalog.state import CatalogState, Entry
    from platform_events.definitions.model import Definition, Definitions


def exists(entry: Entry | None) -> bool:
    """Whether an event or channel is there, or an apply that makes or deletes it has begun."""
    return entry is not None and bool(
        entry.wanted or entry.active or entry.retired or entry.unreadable
    )


def begin(entry: Entry | None, details: list[str]) -> Action:
    """Return what it is to make what is not active, and add what there is to say of it."""
    if entry is None or not entry.unreadable:
        return Action.CREATE
    details.insert(0, "its catalog record is unreadable or a newer version's: write it again")
    return Action.REPAIR


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
    is_begun = entry.wanted is None and not entry.unreadable
    return is_absent(entry, desired) and (is_begun or options.prune)


def is_adopted(entry: Entry | None, project: str) -> bool:
    """Whether a project with a name takes over what one without a name has defined."""
    return (
        entry is not None
        and exists(entry)
        and entry.project == DEFAULT_PROJECT
        and project != DEFAULT_PROJECT
    )


def refuse_other_owner(entry: Entry | None, project: str) -> str | None:
    """Say that another project owns the name; None if none does, or one that gives it up."""
    if entry is None or not exists(entry) or entry.project in (project, ""):
        return None
    if is_adopted(entry, project):
        return None
    return (
        f"the project {entry.project!r} owns it, this is {project!r}; "
        "choose another name, or change it in that project's files"
    )


def refuse_similar_names(desired: Definitions, state: CatalogState) -> dict[str, str]:
    """Say of new names that the tenant has them in another case.

    On some systems a broker keeps topics in directories whose names are then the same.
    """
    present = {entry.name.lower(): entry for entry in state.entries.values() if exists(entry)}
    refusals = {}
    for name in (*desired.events, *desired.channels):
        other = present.get(name.lower())
        if other is not None and other.name != name and not exists(state.entries.get(name)):
            refusals[name] = (
                f"differs only in case from {other.name}, which is there already; choose another "
                "name, or delete that one first"
            )
    return refusals


def with_latest(known: tuple[str, ...], latest: str | None) -> tuple[str, ...]:
    """Return IDs with the present one last."""
    if latest is None or (known and known[-1] == latest):
        return known
    return (*(one for one in known if one != latest), latest)
