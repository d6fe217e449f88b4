"""What a test may have happen to a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from platform_events.errors import UsageError

if TYPE_CHECKING:
    from platform_events.testing.stage import Stage


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens to a process of a worker, after which another one goes on.

    Raises:
        UsageError: `after` is no number of events.
    """

    after: int = 1
    """How many events the process has handled when it happens."""
    commits: ClassVar[bool] = True
    """Whether that process commits what it has handled."""
    halts: ClassVar[bool] = True
    """Whether it begins with no other event then."""

    def __post_init__(self) -> None:
        if isinstance(self.after, bool) or not isinstance(self.after, int) or self.after < 1:
            raise UsageError(
                f"{type(self).__name__}: after is a number of events, 1 or more, not "
                f"{self.after!r:.60}"
            )

    async def strike(self, stage: Stage, following: Fault | None) -> None:
        """Do it, once so many events were handled, and have the next process begin.

        Args:
            stage: where.
            following: what happens to the next one.
        """
        raise NotImplementedError


def begin(stage: Stage, fault: Fault | None) -> None:
    """Have a process begin, to which this will happen."""
    if fault is None:
        stage.begin()
    else:
        stage.begin(commits=fault.commits, halt_after=fault.after if fault.halts else None)


class CrashBeforeCommit(Fault):
    """A process is killed before anything that it handled is committed.

    The next one is given all of it again, and what others of its handlers had begun.
    """

    __slots__ = ()
    commits = False

    async def strike(self, stage: Stage, following: Fault | None) -> None:
        """See `Fault`."""
        await stage.await_handled(self.after)
        await stage.kill()
        begin(stage, following)


class DuplicateDelivery(Fault):
    """All that there is to handle is handled, and delivered again, in its order.

    So it goes when a process loses its partitions before it could commit.
    """

    __slots__ = ()
    commits = False
    halts = False

    def __init__(self) -> None:
        super().__init__()

    async def strike(self, stage: Stage, following: Fault | None) -> None:
        """See `Fault`."""
        await stage.await_idle()
        await stage.kill()
        begin(stage, following)


class Rebalance(Fault):
    """A second process comes, partitions move to it, and the first one leaves.

    So it goes when workers are scaled or restarted one by one. Handlers that run end as they do
    then, and nothing is handled again that ends within the worker's `grace`.
    """

    __slots__ = ()
    halts = False

    async def strike(self, stage: Stage, following: Fault | None) -> None:
        """See `Fault`."""
        await stage.await_handled(self.after)
        former = stage.current
        begin(stage, following)
        await stage.await_ready()
        await stage.drain(former)


class Expire(Fault):
    """Retention removes events before they are handled: all but the last of each partition.

    A channel loses the last ones too.
    """

    __slots__ = ()

    async def strike(self, stage: Stage, following: Fault | None) -> None:
        """See `Fault`."""
        await stage.await_handled(self.after)
        await stage.drain(stage.current)
        await stage.expire()
        begin(stage, following)


class ForgetPositions(Fault):
    """Kafka forgets the group's positions, as it does when it was empty for seven days.

    The worker has them in its journal too, and goes on where it was.
    """

    __slots__ = ()

    async def strike(self, stage: Stage, following: Fault | None) -> None:
        """See `Fault`."""
        await stage.await_handled(self.after)
        await stage.drain(stage.current)
        await stage.forget_positions()
        begin(stage, following)
