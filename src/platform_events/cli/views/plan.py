"""Plans as text for people and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from platform_events.catalog.plan import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.catalog.plan import Change, Plan

_MARKS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPAIR: "!",
    Action.DELETE: "-",
    Action.KEEP: "=",
}
_DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.REPAIR: "repaired",
    Action.DELETE: "deleted",
}


def plan_lines(plan: Plan, tenant: str) -> Iterator[str]:
    """Yield the lines of a plan: a mark, an action and a name, with what changes below."""
    yield f"project {plan.project}, tenant {tenant}"
    for change in plan.changes:
        if change.action is Action.NONE and not change.refusals:
            continue
        mark = "x" if change.refusals else _MARKS[change.action]
        action = "refused" if change.action is Action.NONE else change.action.value
        yield f"{mark} {action} {change.name}"
        for detail in change.details:
            yield f"    {detail}"
        for refusal in change.refusals:
            yield f"    refused: {refusal}"
    yield _summary(plan)


def done_line(change: Change) -> str:
    """Return the line that says that a change was made."""
    return f"{_DONE[change.action]} {change.name}"


def plan_document(plan: Plan, tenant: str, **extra: Any) -> dict[str, Any]:
    """Return a plan as one JSON document."""
    return {
        "project": plan.project,
        "tenant": tenant,
        **extra,
        "summary": {action.value: count for action, count in _counts(plan).items()},
        "refusals": len(plan.refusals),
        "changes": [
            {
                "kind": change.kind,
                "name": change.name,
                "action": change.action.value,
                "details": list(change.details),
                "refusals": list(change.refusals),
                "confirm": list(change.asks),
            }
            for change in plan.changes
        ],
    }


def _counts(plan: Plan) -> dict[Action, int]:
    found = Counter(change.action for change in plan.changes)
    return {action: found[action] for action in Action}


def _summary(plan: Plan) -> str:
    if plan.refusals:
        return f"{len(plan.refusals)} refused: apply would change nothing"
    if not plan.effective:
        return "nothing to do"
    counts = _counts(plan)
    return ", ".join(f"{counts[action]} to {action.value}" for action in _DONE if counts[action])
