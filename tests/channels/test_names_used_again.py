"""What a channel stores reads as what it was, whatever becomes of its members' names."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options
from platform_events.errors import PlanRefusedError
from platform_events.settings import Settings
from tests.channels.routing import Define, await_caught_up, routing
from tests.channels.samples import NAME, B, channel
from tests.support import load


def paid(field: str, scale: int, mode: str = "full") -> str:
    """Return an event that has an amount."""
    amount = f"{{type: bytes, logicalType: decimal, precision: 12, scale: {scale}}}"
    return (
        f"event: Paid__e\ncompatibility: {mode}\nfields:\n  - {{name: {field}, type: {amount}}}\n"
    )


def test_a_pruned_event_does_not_come_back_with_another_scale(
    settings: Settings, bus: EventBus, define: Define, tmp_path: Path
) -> None:
    define(paid("amount", 2), B, channel(NAME, "Paid__e", "B__e"))
    bus.publish("Paid__e", {"amount": Decimal("12.50")})
    with routing(settings):
        await_caught_up(settings, NAME)
    define(B, channel(NAME, "B__e"), prune=False)
    define(B, channel(NAME, "B__e"))
    rest = (B, channel(NAME, "Paid__e", "B__e"))
    for mode in ("full", "none"):
        for replaced in (frozenset[str](), frozenset({"Paid__e"})):
            desired = load(tmp_path / "schemas", paid("amount", 4, mode), *rest)
            options = replace(plan_options(settings), replace=replaced)
            with pytest.raises(PlanRefusedError, match="as other values; give the field"):
                apply(settings, desired, options)
    define(paid("total", 4), *rest)
    bus.publish("Paid__e", {"total": Decimal("12.5075")})
    with routing(settings):
        await_caught_up(settings, NAME)
    with bus.subscribe(NAME, follow=False) as subscription:
        payloads = [event.payload for event in subscription]
    assert [payload.get("amount", payload.get("total")) for payload in payloads] == [
        Decimal("12.50"), Decimal("12.5075"),
    ]  # fmt: skip
