"""How definitions differ from what they were: what `apply` would say if the old ones were live."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from platform_events.catalog.plan import Action, PlanOptions, TopicFacts, make_plan, topic_config
from platform_events.catalog.state import CatalogState, Entry, Feed, Feeding
from platform_events.definitions.model import EventDefinition

if TYPE_CHECKING:
    from platform_events.catalog.plan import Change
    from platform_events.definitions.model import ChannelDefinition, Definition, Definitions

_VERDICTS = {
    Action.CREATE: "new",
    Action.UPDATE: "compatible",
    Action.REPAIR: "compatible",
    Action.KEEP: "removed",
    Action.NONE: "unchanged",
}
_TOPIC_ID = "unchanged"
# Adding partitions changes no schema; plan and apply ask for the operator's leave.
_OPTIONS = PlanOptions(allow_growth=True)


def judge_changes(before: Definitions, after: Definitions) -> dict[str, dict[str, Any]]:
    """Return for each event and channel of both its `kind`, `verdict`, `details` and `breaks`."""
    state = CatalogState()
    topics: dict[str, TopicFacts | None] = {}
    every: list[Definition] = [*before.events.values(), *before.channels.values()]
    for definition in every:
        entry = Entry(definition.name, before.project, definition, definition, (), (_TOPIC_ID,))
        if isinstance(definition, EventDefinition):
            state.schemas[definition.schema.id] = definition.schema
            entry = replace(entry, schema_ids=(definition.schema.id,))
        else:
            entry = replace(entry, feeding=_feeding_of(definition))
        state.entries[definition.name] = entry
        config = topic_config(definition, _OPTIONS)
        facts = TopicFacts(_TOPIC_ID, definition.partitions, 1, config)
        topics |= dict.fromkeys(_OPTIONS.namespace.topics(definition.name), facts)
    plan = make_plan(after, state, topics, _OPTIONS)
    return {change.name: _judge(change) for change in plan.changes}


def _feeding_of(channel: ChannelDefinition) -> Feeding:
    return Feeding(
        1,
        tuple(Feed(member.event, member.filter, 1, _TOPIC_ID, ()) for member in channel.members),
    )


def _judge(change: Change) -> dict[str, Any]:
    verdict = "BREAKING" if change.refusals else _VERDICTS[change.action]
    details = [] if change.action is Action.KEEP else list(change.details)
    return {
        "kind": change.kind,
        "verdict": verdict,
        "details": details,
        "breaks": list(change.refusals),
    }
