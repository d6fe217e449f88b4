"""The workload that runs beside real deployments finds what it looks for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deployment.workload import compare, compare_handlings, is_exact, is_handled


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


@pytest.mark.parametrize(
    ("handled", "missing", "repeated", "first_in_order", "last_in_order"),
    [
        ("a1 b1 a2 b2 a3", 0, 0, True, True),
        ("b1 a1 a2 a3 b2", 0, 0, True, True),
        ("a1 b1 a2 b2", 1, 0, True, True),
        ("", 5, 0, True, True),
        ("a1 a2 a3 b1 a2 a3 b2 x", 0, 2, True, True),
        ("a2 a1 a2 a3 b1 b2", 0, 1, False, True),
        ("a1 a2 a3 a1 b1 b2", 0, 1, True, False),
        ("a1 a3 a2 b1 b2", 0, 0, False, False),
    ],
)
def test_handlings_that_are_missing_repeated_or_out_of_order_are_found(
    handled: str, missing: int, repeated: int, first_in_order: bool, last_in_order: bool
) -> None:
    found = compare_handlings({"a": ["a1", "a2", "a3"], "b": ["b1", "b2"]}, handled.split())
    assert found == {
        "events": 5 - missing,
        "missing": missing,
        "repeated": repeated,
        "first_in_order": first_in_order,
        "last_in_order": last_in_order,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"missing": 1},
        {"first_in_order": False},
        {"last_in_order": False},
    ],
)
def test_only_what_is_all_handled_in_order_is_handled(changes: dict[str, Any]) -> None:
    good = {"missing": 0, "repeated": 3, "first_in_order": True, "last_in_order": True}
    found = {"published": 2, "statuses": {"PERSISTED": 2}, "handlings": good}
    assert is_handled(found)
    assert not is_handled({**found, "handlings": good | changes})
    assert not is_handled({**found, "statuses": {"PERSISTED": 1, "UNKNOWN": 1}})
