"""Committing positions: one commit at a time, and again what was refused."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from platform_events.errors import BrokerError
    from platform_events.kafka.members import Member
    from platform_events.workers.lanes import Assignment
    from platform_events.workers.partitions import OwnedPartition
    from platform_events.workers.progress import Checkpoint

_logger = logging.getLogger("platform_events.worker")


class Commits:
    """The commits of a worker. For the thread that has its seat in the group.

    Args:
        name: of the subscription.
        owned: the partitions of this process, which changes them.
    """

    def __init__(self, name: str, owned: dict[int, OwnedPartition]) -> None:
        self._name = name
        self._owned = owned
        self._under_way: dict[int, tuple[Assignment, Checkpoint]] = {}
        self.is_stopped = False
        """Whether nothing is committed any more, as if this process had been killed."""

    @property
    def is_under_way(self) -> bool:
        """Whether the outcome of a commit is not known yet."""
        return bool(self._under_way)

    def begin(self, member: Member, interval: float) -> None:
        """Commit what is due, unless a commit is under way.

        Args:
            member: this process's seat.
            interval: seconds from one commit of a partition to the next.

        Raises:
            BrokerError: the client takes no commits.
        """
        if self._under_way or self.is_stopped:
            return
        now = time.monotonic()
        due = [owned for owned in self._owned.values() if owned.is_due(interval, now)]
        if not due:
            return
        checkpoints = {owned.number: owned.checkpoint(now) for owned in due}
        if member.commit(_positions(checkpoints)):
            self._under_way = {
                owned.number: (owned.assignment, checkpoints[owned.number]) for owned in due
            }

    def take(self, outcomes: dict[int, BrokerError | None]) -> None:
        """Take the outcome of a commit; what was refused is committed again."""
        under_way, self._under_way = self._under_way, {}
        for number, (assignment, checkpoint) in under_way.items():
            owned = self._owned.get(number)
            if owned is None or owned.assignment is not assignment or number not in outcomes:
                continue
            error = outcomes[number]
            if error is None:
                owned.acknowledge(checkpoint)
            else:
                _logger.info("%s: a commit is tried again: %s", self._name, error)
                owned.refuse()

    def finish(self, member: Member, leaving: list[OwnedPartition]) -> None:
        """Commit what is left of partitions that go to another process.

        It waits for nothing: the client lets go of them when that is answered.
        """
        if self.is_stopped:
            return
        now = time.monotonic()
        checkpoints = {owned.number: owned.checkpoint(now) for owned in leaving if owned.is_dirty}
        member.commit_now(_positions(checkpoints))

    def forget(self, number: int) -> None:
        """Wait no more for the outcome of a partition that is gone."""
        self._under_way.pop(number, None)


def _positions(checkpoints: dict[int, Checkpoint]) -> dict[int, tuple[int, str]]:
    return {number: (one.offset, one.metadata) for number, one in checkpoints.items()}
