"""What a router says is in its way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from platform_events.channels.readiness import Situation, find_obstacle

WELL = Situation(
    failure="",
    is_asked=True,
    is_read=True,
    is_followed=True,
    has_channels=True,
    is_member=True,
    complaints=(),
)


@pytest.mark.parametrize(
    ("change", "obstacle"),
    [
        ({}, ""),
        ({"has_channels": False, "is_member": False}, ""),
        ({"failure": "Kafka is away"}, "Kafka is away"),
        ({"failure": "Kafka is away", "is_read": False, "is_asked": False}, "Kafka is away"),
        ({"is_read": False, "is_asked": False}, "it is reading the catalog"),
        ({"is_read": False}, "tenant 'shop' has no definitions yet"),
        ({"is_followed": False, "has_channels": False}, "it is joining"),
        ({"is_member": False}, "it is joining"),
        ({"complaints": ("A__chn may not", "B__chn may not")}, "A__chn may not; B__chn may not"),
    ],
)
def test_the_first_thing_in_the_way_is_said(change: dict[str, object], obstacle: str) -> None:
    found = find_obstacle(replace(WELL, **change), "shop")  # type: ignore[arg-type]
    assert found.startswith(obstacle)
    assert bool(found) is bool(obstacle)
