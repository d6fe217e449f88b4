"""Members: how their records are judged, and how far they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from platform_events.envelope import UnreadableError, Writers
from platform_events.kafka.offsets import Committed
from platform_events.payloads.codec import PayloadWalk

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.catalog.live import Catalog
    from platform_events.catalog.positions import Checkpoint, Place, Position
    from platform_events.catalog.state import Feed
    from platform_events.definitions.schema import Schema
    from platform_events.envelope import Stamp


class DeadLettered(Exception):  # noqa: N818 - not a failure of the router
    """A record does not go into the channel but into its dead-letter topic; the text is why."""


Writer: TypeAlias = "tuple[bytes, Callable[[bytes], bool] | None, PayloadWalk]"
"""Of the records that one schema wrote: the name of their type, whether a body passes (None: every
body does), and what judges bodies that other software encoded."""


def member_writers(feed: Feed, catalog: Catalog) -> Writers[Writer]:
    """Return how the records of one member are judged, each by the schema that wrote it."""

    def make(schema: Schema) -> Writer:
        passes = None
        if feed.filter:
            from platform_events.filters import FilterError, compile_filter

            try:
                passes = compile_filter(feed.filter, schema)
            except FilterError as error:
                raise UnreadableError(
                    f"the filter does not fit schema {schema.id}: {error}"
                ) from error
        return schema.name.encode(), passes, PayloadWalk(schema.parsed)

    return Writers(feed.event, catalog, make)


def checked(body: bytes | None, walk: PayloadWalk) -> bytes:
    """Return the body of a record that other software wrote.

    Raises:
        DeadLettered: there is none.
        DecodeError: it is no payload of its schema.
    """
    if body is None:
        raise DeadLettered("it has no body (a tombstone)")
    walk.check(body)
    return body


class Source:
    """One partition of a member, and how far it has come."""

    def __init__(
        self,
        place: Place,
        topic: str,
        position: Position,
        writers: Writers[Writer],
        stamp: Stamp,
    ) -> None:
        self.place = place
        self.topic = topic
        self.writers = writers
        self.stamp = stamp
        self.offset = position.offset
        """The next record to judge."""
        self.passed = position.checkpoint.passed
        self.filtered = position.checkpoint.filtered
        self.dead_lettered = position.checkpoint.dead_lettered
        self.expired = position.checkpoint.expired
        self.has_moved = False
        """Whether what is committed is older than this."""
        self.judged_ms: int | None = None
        """Append time of a record that was judged lately, ms; None if none was."""
        self._counted = self._totals()

    def take_committed(self) -> dict[str, int]:
        """Note that everything so far is committed; return what is new, by result."""
        before, self._counted = self._counted, self._totals()
        self.has_moved = False
        return {result: self._counted[result] - before[result] for result in before}

    def _totals(self) -> dict[str, int]:
        return {
            "passed": self.passed,
            "filtered": self.filtered,
            "dead_lettered": self.dead_lettered,
        }

    def advance(self, offset: int) -> None:
        """Note that everything before `offset` was judged, or is no record."""
        if offset > self.offset:
            self.offset = offset
            self.has_moved = True

    def position(self, channel: Checkpoint) -> Committed:
        """Return what to commit under the definition that is in force by the channel's own."""
        checkpoint = replace(
            channel,
            passed=self.passed,
            filtered=self.filtered,
            dead_lettered=self.dead_lettered,
            expired=self.expired,
        )
        return Committed(self.topic, self.place.partition, self.offset, checkpoint.to_text())
