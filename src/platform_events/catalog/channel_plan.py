"""What happens to a channel's definition, its topics and its members."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.catalog.changes import Action, Change
from platform_events.catalog.feeding import describe_feeding
from platform_events.catalog.ownership import (
    changed_texts,
    exists,
    intend,
    make_change,
    refuse_other_owner,
)
from platform_events.catalog.retirement import delete_entry, is_retired
from platform_events.catalog.topics import (
    TopicPlan,
    count_of,
    count_partitions,
    is_foreign,
    topic_config,
)
from platform_events.definitions.durations import format_duration
from platform_events.definitions.model import ChannelDefinition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.catalog.changes import PlanOptions
    from platform_events.catalog.state import CatalogState, Entry
    from platform_events.catalog.topics import TopicFacts

    Topics = Mapping[str, TopicFacts | None]


def plan_channel(
    definition: ChannelDefinition,
    project: str,
    state: CatalogState,
    topics: Topics,
    options: PlanOptions,
) -> Change:
    """Return what makes a channel what its definition says.

    Args:
        definition: what the channel should be.
        project: whose definition it is.
        state: the catalog.
        topics: what topics are, by their names in Kafka: the channel's and its members'.
        options: what the operator allows.
    """
    entry = state.entries.get(definition.name)
    refusal = refuse_other_owner(entry, project)
    if refusal is not None:
        return Change(Action.NONE, definition.name, refusals=(refusal,))
    before = entry.active if entry is not None else None
    feeding = describe_feeding(definition, entry, _topic_ids(definition, topics, options))
    details = [*([] if before is not None else [_describe(definition)]), *feeding]
    if isinstance(before, ChannelDefinition):
        details += _compare(before, definition)
    needed = _plan_topics(definition, entry, topics, options)
    facts = topics.get(options.namespace.topic(definition.name))
    updated = intend(entry, definition, project)
    updated = replace(updated, retired=updated.retired and needed.deletes)
    renumbers = bool(feeding) or is_refilled(entry, facts.topic_id if facts else None)
    return make_change(entry, updated, needed, details, renumbers=renumbers)


def delete_channel(entry: Entry, topics: Topics, options: PlanOptions) -> Change:
    """Return the deletion of a channel with its topics. Its definition number is kept."""
    names = options.namespace.topics(entry.name)
    events, dead = (facts.events if facts else 0 for facts in map(topics.get, names))
    detail = (
        f"delete its topics with {count_of(events, 'event')} and {count_of(dead, 'dead letter')}; "
        "its members keep theirs"
    )
    return delete_entry(entry, detail, names, topics)


def is_refilled(entry: Entry | None, topic_id: str | None) -> bool:
    """Whether the topic of an active channel is not the one that was filled so far."""
    return (
        entry is not None
        and entry.active is not None
        and bool(entry.topic_ids)
        and topic_id != entry.topic_ids[-1]
    )


def _describe(definition: ChannelDefinition) -> str:
    return (
        f"{count_of(len(definition.members), 'member')}, kept "
        f"{format_duration(definition.retention_ms)}, {count_partitions(definition.partitions)}"
    )


def _topic_ids(
    definition: ChannelDefinition, topics: Topics, options: PlanOptions
) -> dict[str, str | None]:
    found = {
        member.event: topics.get(options.namespace.topic(member.event))
        for member in definition.members
    }
    return {event: facts.topic_id if facts else None for event, facts in found.items()}


def _compare(before: ChannelDefinition, after: ChannelDefinition) -> list[str]:
    starts = {member.event: member.start for member in before.members}
    return changed_texts(before, after) + [
        f"from of {member.event}: {starts[member.event]} -> {member.start}; it is a member "
        "already, so nothing is read again or passed over"
        for member in after.members
        if starts.get(member.event, member.start) != member.start
    ]


def _plan_topics(
    definition: ChannelDefinition, entry: Entry | None, topics: Topics, options: PlanOptions
) -> TopicPlan:
    name = options.namespace.topic(definition.name)
    config = topic_config(definition, options)
    facts = topics.get(name)
    needed = TopicPlan()
    is_going = facts is not None and is_retired(entry, facts.topic_id)
    remake = is_going or (
        facts is not None and is_foreign(facts, entry.topic_ids if entry else (), config)
    )
    if facts is not None and remake:
        origin = "an apply that did not finish retired" if is_going else "other software made"
        needed.say(
            f"a topic that {origin} is there: delete it with {count_of(facts.events, 'record')}, "
            "make it again and fill it from the members",
            ask=facts.events > 0,
        )
    elif is_refilled(entry, facts.topic_id if facts else None):
        needed.say(
            "the topic was made again: fill it from the members"
            if facts
            else "the topic is gone with its events: make it again and fill it from the members"
        )
    elif facts is not None and not exists(entry):
        needed.say("use the topic that is there already")
    if facts is not None and not remake and definition.partitions != facts.partitions:
        needed.say(f"partitions: {facts.partitions} -> {definition.partitions}")
        needed.refusals += _judge_partitions(definition, entry, facts, topics, options)
    needed.settle(name, facts, config, options, partitions=definition.partitions, remake=remake)
    dead_letters = options.namespace.dead_letters(definition.name)
    dead = topics.get(dead_letters)
    needed.settle(dead_letters, dead, config, options, remake=is_going, label="dead letters: ")
    if dead is None and entry is not None and entry.active is not None:
        needed.say("the topic of its dead letters is gone: make it again")
    return needed


def _judge_partitions(
    definition: ChannelDefinition,
    entry: Entry | None,
    facts: TopicFacts,
    topics: Topics,
    options: PlanOptions,
) -> list[str]:
    change = f"partitions {facts.partitions} -> {definition.partitions}"
    if definition.partitions < facts.partitions:
        return [f"{change}: Kafka cannot remove partitions; give the channel a new name"]
    refusals = []
    if not options.allow_growth:
        refusals.append(
            f"{change}: keys move to other partitions, so events of one key from before and "
            "after are no longer in order; allow it with --allow-partition-growth"
        )
    # A growth that was allowed, begun and interrupted: the members have grown already.
    begun = (
        entry is not None
        and isinstance(entry.wanted, ChannelDefinition)
        and (entry.pending and entry.wanted.partitions == definition.partitions)
    )
    if not begun and entry is not None and isinstance(entry.active, ChannelDefinition):
        wanted = {member.event for member in definition.members}
        for member in entry.active.members:
            topic = topics.get(options.namespace.topic(member.event))
            if member.event in wanted and topic and topic.partitions != facts.partitions:
                refusals.append(
                    f"{change}: a channel grows only together with its members, and "
                    f"{member.event} has {topic.partitions} already; give the channel a new name"
                )
    return refusals
