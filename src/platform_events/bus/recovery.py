"""What has become of a stream that is being read, and going on after the log was cut."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from platform_events.bus.starts import OnExpired, Stream, identify, settle
from platform_events.errors import BrokerError, StreamDeletedError, StreamRecreatedError
from platform_events.replay import OffsetPosition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.bus.position import Position
    from platform_events.catalog.live import Catalog
    from platform_events.kafka.admin import Admin
    from platform_events.kafka.watch import TopicWatch

_PAUSE = 0.2
"""Seconds between two looks."""
_logger = logging.getLogger("platform_events")


class Recovery:
    """Watches one stream for whoever reads it.

    Args:
        stream: as it was when reading began.
        admin: is asked.
        watch: looks at its topic now and then.
        catalog: knows its former topics.
        on_expired: what to do when retention overtakes the reader.
    """

    def __init__(
        self,
        stream: Stream,
        admin: Admin,
        watch: TopicWatch,
        catalog: Catalog,
        on_expired: OnExpired,
    ) -> None:
        self.stream = stream
        """As it is now, as far as its reader was told."""
        self._admin = admin
        self._watch = watch
        self._catalog = catalog
        self._on_expired = on_expired
        self._watched = watch.add(stream.topic)

    @property
    def has_grown(self) -> bool:
        """Whether the stream has gained partitions."""
        return self._watched.topic.partitions > self.stream.identity.partitions

    def check(self) -> None:
        """Raise what has become of the stream, as far as it is known.

        Raises:
            StreamDeletedError, StreamRecreatedError: its topic is gone.
        """
        path = self.stream.path
        if self._watched.recreated:
            raise StreamRecreatedError(
                path,
                f"{path} was deleted and created again; its old events are gone, subscribe again "
                "from earliest",
            )
        if self._watched.deleted:
            raise StreamDeletedError(
                path,
                f"{path}: its topic {self._watched.topic.name} was deleted; platform-events apply "
                "makes it again, without its events",
            )

    def look(self) -> None:
        """Ask the cluster what has become of the stream; raise as `check` does.

        Raises:
            BrokerError: the cluster cannot be asked.
        """
        self._watch.look([self._watched])
        while self._watched.doubtful:
            time.sleep(_PAUSE)
            self._watch.look([self._watched])
        self.check()

    def settle(
        self, position: Position, check: Callable[[], None], *, out_of_range: bool
    ) -> Sequence[int] | None:
        """Find out why the log does not have a position; a reader that follows waits for that.

        Args:
            position: of the reader.
            check: is called between two tries; what it raises ends them.
            out_of_range: whether the log does not have it; otherwise a topic seemed to be missing.

        Returns:
            Where to read on; None: where the reader is.

        Raises:
            ReplayExpiredError, ReplayFutureError: the verdict, unless `on_expired` settles it.
            BrokerError: the cluster refuses, or is away and the reader does not follow.
            StreamDeletedError, StreamRecreatedError: as `check`.
        """
        while True:
            try:
                self.look()
                return self._resettle(position) if out_of_range else None
            except BrokerError as error:
                if position.ends is not None or not error.retriable:
                    raise
                _logger.warning("%s: waiting: %s", self.stream.path, error)
                time.sleep(_PAUSE)
            check()

    def grow(self) -> Stream:
        """Return the stream with the partitions that it gained."""
        entry = self._catalog.entry(self.stream.name)
        self.stream = identify(entry, self._watched.topic, self._admin.cluster_id())
        return self.stream

    def close(self) -> None:
        """Stop watching."""
        self._watch.remove(self._watched)

    def _resettle(self, position: Position) -> list[int]:
        topic = self.stream.topic.name
        marks = self._admin.watermarks({topic: len(position.offsets)})[topic]
        return settle(
            OffsetPosition(tuple(position.offsets)),
            position.replay_id(),
            self.stream,
            marks,
            self._on_expired,
        )
