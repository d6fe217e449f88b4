"""Isolating poison records: the client names why a transaction was refused, not which record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.catalog.positions import Place

FORMS = 3
"""A record is dead-lettered whole, or else without its body, or else only with its origin."""


@dataclass(slots=True)
class Isolation:
    """What was learnt from transactions that a broker refused because of some record in them."""

    suspects: dict[Place, int] = field(default_factory=dict)
    """Up to these offsets each record has a transaction of its own, so that the one is found."""
    refusals: dict[tuple[Place, int], int] = field(default_factory=dict)
    """Records that were refused alone, and how often."""
    reason: str = ""
    """Why, the last time."""
    findings: int = 0
    """How often something was learnt with which the next try will be another one."""

    def learn(
        self, single: tuple[Place, int] | None, offsets: Mapping[Place, int], why: str
    ) -> None:
        """Take it that a transaction was refused.

        Args:
            single: the only record in it; None if there were several.
            offsets: how far it had come in each place.
            why: the broker's reason.
        """
        self.reason = why
        if single is not None:
            self.refusals[single] = self.refusals.get(single, 0) + 1
            self.findings += self.refusals[single] < FORMS
            return
        self.findings += any(
            self.suspects.get(place, 0) < offset for place, offset in offsets.items()
        )
        self.suspects |= offsets

    def is_suspect(self, place: Place, offset: int) -> bool:
        """Whether a record has to be alone in its transaction."""
        return offset < self.suspects.get(place, 0)
