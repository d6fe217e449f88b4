"""What both kinds of catalog entries have: whose they are, how they change, and their topics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.catalog.changes import Action, Change
from platform_events.catalog.state import Entry
from platform_events.definitions.model import DEFAULT_PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from platform_events.catalog.changes import PlanOptions
    from platform_events.catalog.state import CatalogState
    from platform_events.catalog.topics import TopicPlan
    from platform_events.definitions.model import Definition, Definitions


def exists(entry: Entry | None) -> bool:
    """Whether an event or channel is there, or an apply that makes or deletes it has begun."""
    return entry is not None and bool(
        entry.wanted or entry.active or entry.retired or entry.unreadable
    )


def intend(entry: Entry | None, definition: Definition, project: str) -> Entry:
    """Return what the catalog says of a name when an apply of its definition begins."""
    entry = entry or Entry(definition.name, project, None, None)
    return replace(entry, project=project, wanted=definition, unreadable="")


def make_change(
    entry: Entry | None,
    updated: Entry,
    needed: TopicPlan,
    details: list[str],
    refusals: Iterable[str] = (),
    *,
    renumbers: bool = False,
) -> Change:
    """Return what happens to an event or channel that files define.

    Args:
        entry: what the catalog says of it.
        updated: what it is to say.
        needed: what its topics need.
        details: what else changes, in words.
        refusals: why that is refused.
        renumbers: whether the channel gets a new definition number.
    """
    if entry is None or entry.active is None:
        action = Action.CREATE
        if entry is not None and entry.unreadable:
            action = Action.REPAIR
            problem = "its catalog record is unreadable or a newer version's: write it again"
            details = [problem, *details]
    elif updated.wanted != entry.active:
        action = Action.UPDATE
    elif needed.changes or updated != entry or renumbers:
        action = Action.REPAIR
    else:
        action = Action.NONE
    return Change(
        action,
        updated.name,
        (*details, *needed.details),
        (*refusals, *needed.refusals),
        asks=tuple(needed.asks),
        entry=None if action is Action.NONE else updated,
        topics=tuple(needed.changes),
        renumbers=renumbers,
    )


def changed_texts(before: Definition, after: Definition) -> list[str]:
    """Return which texts for people differ."""
    texts = ("label", "description", "owner")
    return [text for text in texts if getattr(before, text) != getattr(after, text)]


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
