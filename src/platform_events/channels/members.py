"""Members: how their records are judged, and how far they are."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from platform_events.envelope import UnreadableError, Writers
from platform_events.kafka.offsets import Committed

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.catalog.live import Catalog
    from platform_events.catalog.positions import Checkpoint, Place, Position
    from platform_events.catalog.state import Feed
    from platform_events.definitions.schema import Schema
    from platform_events.envelope import Stamp
    from platform_events.payloads.codec import PayloadWalk


class DeadLettered(Exception):  # noqa: N818 - not a failure of the router
    """A record does not go into the channel but into its dead-letter topic; the text is why."""


Writer: TypeAlias = "tuple[bytes, Callable[[bytes], bool] | None, Callable[[], PayloadWalk]]"
"""Of the records that one schema wrote: the name of their type, whether a body passes (None: every
body does), and what judges bodies that other software encoded, made when it is first asked for."""


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

        @cache
        def walk() -> PayloadWalk:
            from platform_events.payloads.codec import PayloadWalk

            return PayloadWalk(schema.parsed)

        return schema.name.encode(), passes, walk

    return Writers(feed.event, catalog, make)


def checked(body: bytes | None, walk: Callable[[], PayloadWalk]) -> bytes:
    """Return the body of a record that other software wrote.

    Raises:
        DeadLettered: there is none.
        DecodeError: it is no payload of its schema.
        CatalogCorruptError: the schema cannot be read.
    """
    if body is None:
        raise DeadLettered("it has no body (a tombstone)")
    walk().check(body)
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
        self.judged_ms: int | None = None
        """Append time of a record that was judged lately, ms; None if none was."""
        self._committed = self.offset
        self._counted = self._totals()

    @property
    def has_moved(self) -> bool:
        """Whether what is committed is older than this."""
        return self.offset > self._committed

    def take_committed(self) -> dict[str, int]:
        """Note that everything so far is committed; return what is new, by result."""
        before, self._counted = self._counted, self._totals()
        self._committed = self.offset
        return {result: self._counted[result] - before[result] for result in before}

    def _totals(self) -> dict[str, int]:
        return {
            "passed": self.passed,
            "filtered": self.filtered,
            "dead_lettered": self.dead_lettered,
        }

    def advance(self, offset: int) -> None:
        """Note that everything before `offset` was judged, or is no record."""
        self.offset = max(self.offset, offset)

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
