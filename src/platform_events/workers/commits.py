"""Committing positions: one commit at a time, and again what was refused."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from platform_events.workers.holes import LONGEST_METADATA

if TYPE_CHECKING:
    from platform_events.errors import BrokerError
    from platform_events.kafka.members import Member
    from platform_events.workers.lanes import Assignment
    from platform_events.workers.partitions import OwnedPartition
    from platform_events.workers.progress import Checkpoint

_PAUSE = 0.5
"""Seconds before what was refused is committed again."""
_PATIENCE = 5.0
"""Seconds of refusals after which they are in the worker's way."""
_LEAST_ROOM = 95
_logger = logging.getLogger("platform_events.worker")


class Committer:
    """Commits what a worker has done. For the thread that has its seat in the group.

    Args:
        name: of the subscription.
        owned: the partitions of this process, which changes them.
    """

    def __init__(self, name: str, owned: dict[int, OwnedPartition]) -> None:
        self._name = name
        self._owned = owned
        self._under_way: dict[int, tuple[Assignment, Checkpoint]] = {}
        self._refused: dict[int, float] = {}
        """Since when partitions are refused, by `time.monotonic()`."""
        self._again_at: dict[int, float] = {}
        self._failure: BrokerError | None = None
        """The last refusal."""
        self._room = LONGEST_METADATA
        self._has_warned = False
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
        due = [
            owned
            for owned in self._owned.values()
            if owned.is_due(interval, now) and now >= self._again_at.get(owned.number, now)
        ]
        if not due:
            return
        for owned in due:
            owned.progress.room = self._room
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
                self._accept(number)
            else:
                _logger.info("%s: a commit is tried again: %s", self._name, error)
                owned.refuse()
                self._refuse(number, error)
        self._warn()

    def finish(self, member: Member, leaving: list[OwnedPartition]) -> None:
        """Commit what is left of partitions that go to another process.

        It waits for nothing: the client lets go of them when that is answered.
        """
        if self.is_stopped:
            return
        now = time.monotonic()
        for owned in leaving:
            owned.progress.room = self._room
        checkpoints = {owned.number: owned.checkpoint(now) for owned in leaving if owned.is_dirty}
        member.commit_now(_positions(checkpoints))

    def forget(self, number: int) -> None:
        """Wait no more for the outcome of a partition that is gone."""
        self._under_way.pop(number, None)
        self._accept(number)

    def obstacle(self) -> BrokerError | None:
        """Return why positions are not committed, if that is so for some time."""
        since = min(self._refused.values(), default=None)
        if since is None or time.monotonic() - since < _PATIENCE:
            return None
        return self._failure

    def _accept(self, number: int) -> None:
        self._refused.pop(number, None)
        self._again_at.pop(number, None)

    def _refuse(self, number: int, error: BrokerError) -> None:
        now = time.monotonic()
        self._refused.setdefault(number, now)
        self._again_at[number] = now + _PAUSE
        self._failure = error
        if error.kafka_code == "OFFSET_METADATA_TOO_LARGE":
            # Its `offset.metadata.max.bytes` is set to less than Kafka has by itself.
            self._room = max(self._room // 2, _LEAST_ROOM)

    def _warn(self) -> None:
        """Log once that positions are not committed, while it lasts."""
        failure = self.obstacle()
        if failure is not None and not self._has_warned:
            _logger.warning("%s: positions are not committed: %s", self._name, failure)
        self._has_warned = failure is not None


def _positions(checkpoints: dict[int, Checkpoint]) -> dict[int, tuple[int, str]]:
    return {number: (one.offset, one.metadata) for number, one in checkpoints.items()}
