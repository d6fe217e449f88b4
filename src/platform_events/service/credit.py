"""What one subscriber is owed; pure."""

from __future__ import annotations

MOST_OWED = 100
"""Events that a Subscribe call is owed at most: more are not an error, and count as that many."""


class Credit:
    """How many events a subscriber has asked for and not been sent."""

    __slots__ = ("owed",)

    def __init__(self) -> None:
        self.owed = 0

    def ask(self, number: int) -> None:
        """Owe so many events more, a positive number."""
        self.owed = min(self.owed + number, MOST_OWED)

    def send(self, number: int) -> None:
        """Owe so many fewer, which are not more than are owed."""
        self.owed -= number
