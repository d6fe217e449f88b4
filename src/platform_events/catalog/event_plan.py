"""What happens to an event's definition and topic."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.catalog.changes import Action, Change
from platform_events.catalog.ownership import (
    changed_texts,
    exists,
    intend,
    make_change,
    refuse_other_owner,
    with_latest,
)
from platform_events.catalog.retirement import delete_entry, is_retired, retire
from platform_events.catalog.schema_plan import judge_schema
from platform_events.catalog.topics import (
    TopicPlan,
    count_of,
    count_partitions,
    is_foreign,
    topic_config,
)
from platform_events.definitions.durations import format_duration
from platform_events.definitions.model import EventDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.catalog.changes import PlanOptions
    from platform_events.catalog.state import CatalogState, Entry
    from platform_events.catalog.topics import TopicFacts


def plan_event(
    definition: EventDefinition,
    project: str,
    state: CatalogState,
    topics: Mapping[str, TopicFacts | None],
    options: PlanOptions,
) -> Change:
    """Return what makes an event what its definition says.

    Args:
        definition: what the event should be.
        project: whose definition it is.
        state: the catalog.
        topics: what topics are, by their names in Kafka.
        options: what the operator allows.
    """
    entry = state.entries.get(definition.name)
    refusal = refuse_other_owner(entry, project)
    if refusal is not None:
        return Change(Action.NONE, definition.name, refusals=(refusal,))
    before = entry.active if entry is not None else None
    verdict = judge_schema(definition, entry, state, options)
    details, refusals = [*verdict.details], [*verdict.refusals]
    if isinstance(before, EventDefinition):
        _compare(before, definition, details, refusals)
    topic = topics.get(options.namespace.topic(definition.name))
    needed = _plan_topic(definition, entry, topic, options, replaces=verdict.replaces)
    updated = intend(entry, definition, project)
    topic_ids = with_latest(updated.topic_ids, topic.topic_id if topic else None)
    updated = replace(updated, breaking=verdict.breaking, topic_ids=topic_ids)
    if verdict.replaces:
        updated = retire(updated, definition)
    elif not needed.deletes:
        updated = replace(updated, retired=False)
    if before is None:
        details.insert(0, _describe(definition))
    return make_change(entry, updated, needed, details, refusals)


def delete_event(
    entry: Entry, topics: Mapping[str, TopicFacts | None], options: PlanOptions
) -> Change:
    """Return the deletion of an event with its topic."""
    name = options.namespace.topic(entry.name)
    facts = topics.get(name)
    detail = f"delete the topic with {count_of(facts.events if facts else 0, 'event')}"
    return delete_entry(entry, detail, [name], topics)


def _describe_takeover(topic: TopicFacts, *, remake: bool) -> str:
    held = count_of(topic.events, "record")
    if remake:
        return (
            f"a topic that other software made is there with {count_partitions(topic.partitions)}: "
            f"delete it with {held}, and make it again"
        )
    if topic.events:
        return f"take over the topic that other software made, with {held} as its first events"
    return "take over the empty topic that other software made"


def _describe(definition: EventDefinition) -> str:
    key = f", keyed by {definition.partition_key}" if definition.partition_key else ""
    return (
        f"{count_partitions(definition.partitions)}{key}, kept "
        f"{format_duration(definition.retention_ms)}, schema {definition.schema.id}"
    )


def _compare(
    before: EventDefinition,
    after: EventDefinition,
    details: list[str],
    refusals: list[str],
) -> None:
    if before.partition_key != after.partition_key:
        details.append(f"partition key {before.partition_key} -> {after.partition_key}")
        if before.partitions > 1:
            refusals.append(
                f"partition_key {before.partition_key} -> {after.partition_key}: events of one key "
                "would be spread over partitions and lose their order; give the event a new name"
            )
    details += changed_texts(before, after)


def _plan_topic(
    definition: EventDefinition,
    entry: Entry | None,
    topic: TopicFacts | None,
    options: PlanOptions,
    *,
    replaces: bool,
) -> TopicPlan:
    needed = TopicPlan()
    config = topic_config(definition, options)
    remake = False
    if topic is not None:
        foreign = is_foreign(topic, entry.topic_ids if entry else (), config)
        is_going = is_retired(entry, topic.topic_id)
        remake = replaces or is_going or (foreign and topic.partitions > definition.partitions)
        if replaces:
            needed.say(
                f"replace the topic with {count_of(topic.events, 'event')} by an empty one; replay "
                "IDs from before are RECREATED then",
                ask=True,
            )
        elif is_going:
            needed.say(
                f"delete the topic with {count_of(topic.events, 'event')}, which an apply that did "
                "not finish retired, and make it again",
                ask=True,
            )
        elif foreign:
            needed.say(_describe_takeover(topic, remake=remake), ask=topic.events > 0)
        elif not exists(entry):
            needed.say("use the topic that is there already")
        if not remake and definition.partitions != topic.partitions:
            needed.say(f"partitions: {topic.partitions} -> {definition.partitions}")
            if not foreign or topic.events:
                needed.refusals += _judge_partitions(definition, topic, options)
    elif entry is not None and entry.active is not None:
        needed.say("the topic is gone with its events: make it again")
    name = options.namespace.topic(definition.name)
    needed.settle(name, topic, config, options, partitions=definition.partitions, remake=remake)
    return needed


def _judge_partitions(
    definition: EventDefinition, topic: TopicFacts, options: PlanOptions
) -> list[str]:
    change = f"partitions {topic.partitions} -> {definition.partitions}"
    if definition.partitions < topic.partitions:
        return [f"{change}: Kafka cannot remove partitions; give the event a new name"]
    if options.allow_growth:
        return []
    warning = (
        f"{change}: keys move to other partitions, so events of one key published before and after "
        "are no longer in order; allow it with --allow-partition-growth when no consumer depends "
        "on that, or when the stream is empty"
    )
    return [warning]
