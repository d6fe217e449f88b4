"""The workload that runs beside real deployments finds what it looks for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deployment.workload import compare, is_exact


def stream(*ids: str) -> list[tuple[str, float]]:
    return [(each, 1.0) for each in ids]


@pytest.mark.parametrize(
    ("found", "missing", "twice", "in_order"),
    [
        (stream("a", "b", "c"), 0, 0, True),
        (stream("a", "c"), 1, 0, True),
        (stream("a", "b", "b", "c"), 0, 1, True),
        (stream("b", "a", "c"), 0, 0, False),
        (stream("x", "a", "b", "y", "c", "x"), 0, 0, True),
        (stream(), 3, 0, True),
    ],
)
def test_what_is_missing_twice_or_out_of_order_is_found(
    found: list[tuple[str, float]], missing: int, twice: int, in_order: bool
) -> None:
    compared = compare(["a", "b", "c"], found)
    assert (compared["missing"], compared["twice"]) == (missing, twice)
    assert compared["in_order"] is in_order


def outcome(**changes: Any) -> dict[str, Any]:
    good = {"events": 2, "missing": 0, "twice": 0, "in_order": True}
    return {
        "published": 2,
        "statuses": {"PERSISTED": 2},
        "stream": dict(good),
        "channel": dict(good),
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"statuses": {"PERSISTED": 1, "UNKNOWN": 1}},
        {"statuses": {"PERSISTED": 1}},
        {"channel": {"missing": 1, "twice": 0, "in_order": True}},
        {"channel": {"missing": 0, "twice": 1, "in_order": True}},
        {"stream": {"missing": 0, "twice": 0, "in_order": False}},
    ],
)
def test_only_exact_is_exact(changes: dict[str, Any]) -> None:
    assert is_exact(outcome())
    assert not is_exact(outcome(**changes))
