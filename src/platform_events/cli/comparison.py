"""How definitions differ from what they were: what `apply` would say if the old ones were live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from platform_events.catalog.plan import (
    Action,
    PlanOptions,
    TopicFacts,
    make_plan,
    topic_config,
)
from platform_events.catalog.state import CatalogState, Entry

if TYPE_CHECKING:
    from platform_events.catalog.plan import Change
    from platform_events.definitions.model import Definitions

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
    """Return for each event of both its `verdict`, `details` and `breaks`."""
    state = CatalogState()
    topics: dict[str, TopicFacts | None] = {}
    for name, event in before.events.items():
        state.schemas[event.schema.id] = event.schema
        state.entries[name] = Entry(
            name, before.project, event, event, (event.schema.id,), (_TOPIC_ID,)
        )
        topics[name] = TopicFacts(_TOPIC_ID, event.partitions, 1, topic_config(event, _OPTIONS))
    plan = make_plan(after, state, topics, _OPTIONS)
    return {change.name: _judge(change) for change in plan.changes}


def _judge(change: Change) -> dict[str, Any]:
    verdict = "BREAKING" if change.refusals else _VERDICTS[change.action]
    details = [] if change.action is Action.KEEP else list(change.details)
    return {"verdict": verdict, "details": details, "breaks": list(change.refusals)}
