"""What `apply` would change, and what it refuses: a pure function of files, catalog and topics."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.catalog.changes import Action, Change, Plan, PlanOptions, TopicChange
from platform_events.catalog.channel_plan import delete_channel, plan_channel
from platform_events.catalog.event_plan import delete_event, plan_event
from platform_events.catalog.membership import find_conflicts, find_deserted
from platform_events.catalog.ownership import (
    is_absent,
    is_adopted,
    is_deleted,
    refuse_similar_names,
)
from platform_events.catalog.topics import TopicFacts, describe_loss, topic_config
from platform_events.names import is_channel_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from platform_events.catalog.state import CatalogState, Entry
    from platform_events.definitions.model import Definitions
    from platform_events.names import Namespace

__all__ = [
    "Action",
    "Change",
    "Plan",
    "PlanOptions",
    "TopicChange",
    "TopicFacts",
    "make_plan",
    "planned_topics",
    "topic_config",
]


def make_plan(
    desired: Definitions,
    state: CatalogState,
    topics: Mapping[str, TopicFacts | None],
    options: PlanOptions,
) -> Plan:
    """Compare what files define with what the catalog says and what topics are.

    Args:
        desired: the definitions of one project.
        state: the catalog.
        topics: by their names in Kafka, all of `planned_topics`; None where there is none.
        options: what the operator allows, and what topics are called.
    """
    project = desired.project
    changes = [
        plan_event(event, project, state, topics, options) for event in desired.events.values()
    ]
    # A member's topic that is made again is another one, which is read from its beginning.
    made = {topic.topic for change in changes for topic in change.topics if topic.create}
    kept = {name: None if name in made else facts for name, facts in topics.items()}
    changes += [
        plan_channel(channel, project, state, kept, options)
        for channel in desired.channels.values()
    ]
    changes += _refuse_unknown(options.replace - desired.events.keys())
    absent = [entry for entry in state.entries.values() if is_absent(entry, desired)]
    # Channels first: an event is deleted only when nothing reads it any more.
    absent.sort(key=lambda entry: (not is_channel_name(entry.name), entry.name))
    changes += [
        _delete(entry, topics, options)
        if is_deleted(entry, desired, options)
        else Change(
            Action.KEEP, entry.name, ("no file defines it any more; --prune would delete it",)
        )
        for entry in absent
    ]
    conflicts = find_conflicts(desired, state, options)
    for name, clash in refuse_similar_names(desired, state).items():
        conflicts.setdefault(name, []).append(clash)
    replaced = {change.name for change in changes if change.retires} & desired.events.keys()
    for name, reasons in find_deserted(replaced, desired, state, options).items():
        conflicts.setdefault(name, []).extend(reasons)
    changes = [
        replace(
            _with_losses(_adopt(change, project, state), topics, options.namespace),
            refusals=(*change.refusals, *conflicts.get(change.name, ())),
        )
        for change in changes
    ]
    return Plan(project, tuple(changes))


def planned_topics(
    desired: Definitions, state: CatalogState, namespace: Namespace
) -> dict[str, int | None]:
    """Return the topics that a plan has to know: of all that files or catalog say is the project's.

    The names are Kafka's. The values are the milliseconds for which files say that events are kept.
    """
    own = [entry.name for entry in state.entries.values() if entry.project == desired.project]
    wanted: dict[str, int | None] = dict.fromkeys(own)
    for part in (desired.events, desired.channels):
        wanted |= {name: definition.retention_ms for name, definition in part.items()}
    return {topic: kept for name, kept in wanted.items() for topic in namespace.topics(name)}


def _adopt(change: Change, project: str, state: CatalogState) -> Change:
    entry = state.entries.get(change.name)
    if entry is None or not is_adopted(entry, project):
        return change
    detail = f"adopt it from the project {entry.project}"
    action = Action.UPDATE if change.action is Action.REPAIR else change.action
    return replace(
        change, action=action, details=(detail, *change.details), asks=(detail, *change.asks)
    )


def _with_losses(
    change: Change, topics: Mapping[str, TopicFacts | None], namespace: Namespace
) -> Change:
    """Add how many events a shorter retention removes."""
    for one in change.topics:
        facts = topics.get(one.topic)
        loss = describe_loss(facts, one) if facts is not None else None
        if loss is not None:
            of_dead_letters = one.topic == namespace.dead_letters(change.name)
            detail = f"dead letters: {loss}" if of_dead_letters else loss
            change = replace(change, details=(*change.details, detail), asks=(*change.asks, detail))
    return change


def _refuse_unknown(names: Iterable[str]) -> Iterator[Change]:
    for name in sorted(names):
        refusal = "no event of this project is called so, and so it cannot be replaced"
        yield Change(Action.NONE, name, refusals=(refusal,))


def _delete(entry: Entry, topics: Mapping[str, TopicFacts | None], options: PlanOptions) -> Change:
    delete = delete_channel if is_channel_name(entry.name) else delete_event
    return delete(entry, topics, options)
