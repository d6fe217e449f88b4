"""The catalog as a running process sees it: read once, then followed."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from platform_events.catalog.log import CatalogLog
from platform_events.catalog.state import CatalogState, Entry
from platform_events.definitions.model import ChannelDefinition, EventDefinition
from platform_events.errors import (
    CatalogCorruptError,
    UnknownSchemaError,
    UnknownStreamError,
    UsageError,
)
from platform_events.names import is_channel_name, stream_path
from platform_events.wording import one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.definitions.schema import Schema
    from platform_events.kafka.admin import Admin, Topic
    from platform_events.kafka.reader import Record, TopicReader
    from platform_events.kafka.tail import Tail
    from platform_events.settings import Settings

Answer = TypeVar("Answer")
_REFRESH_INTERVAL = 1.0
"""Seconds between two refreshes because of questions that found nothing."""


class Catalog:
    """Definitions and schemas of one tenant. Thread-safe.

    Nothing is read before the first question. A `Follower` has it take what was written since. A
    question that finds nothing has the catalog refreshed, so that what was just applied is known;
    that is done once a second at most, whoever asks, so the answer that there is nothing may take
    as long.
    """

    def __init__(self, settings: Settings, admin: Admin) -> None:
        self._settings = settings
        self._admin = admin
        self.topic = settings.namespace.catalog
        """The topic's name."""
        self.topic_id = ""
        """Kafka's UUID of it, as last seen; empty if there was none."""
        self._reading = threading.Lock()
        self._asking = threading.Lock()
        self._asked = -math.inf
        """When the last refresh began, by `time.monotonic()`."""
        self._known = -math.inf
        """A moment up to which everything written was read."""
        self._log: CatalogLog | None = None
        self._state = CatalogState()
        """Never changed, only replaced, so that every question sees one of them whole."""
        self.revision = 0
        """Rises whenever something was read that may have changed an answer."""
        self._is_read = False

    @property
    def known_at(self) -> float:
        """When, by `time.monotonic()`, nothing was written that is not read by now."""
        return self._known

    @property
    def is_read(self) -> bool:
        """Whether there is a catalog with something in it, and it was read to its end."""
        return self._is_read

    def entry(self, name: str) -> Entry:
        """Return what the catalog says of an active event or channel.

        Raises:
            UnknownStreamError: it never was, or it was deleted.
            CatalogCorruptError: its record cannot be read; the message says how to repair it.
            BrokerError: the catalog cannot be read.
        """
        entry = self._state.entries.get(name)
        if entry is None or entry.active is None:
            entry = self._look(lambda: self._active(name)) or self._state.entries.get(name)
        if entry is not None and entry.unreadable:
            raise CatalogCorruptError(f"{name}: {entry.unreadable}")
        if entry is None or entry.active is None:
            raise UnknownStreamError(stream_path(name), self._explain_unknown(name, entry))
        return entry

    def event(self, name: str) -> EventDefinition:
        """Return the active definition of an event; raises as `entry` does."""
        active = self.entry(name).active
        assert isinstance(active, EventDefinition)
        return active

    def refuse_channel(self, name: str) -> None:
        """Raise if `name` is a custom channel's: nothing can be published to one.

        Raises:
            UsageError: it is; the message names the events to publish instead.
            BrokerError: the catalog cannot be read.
        """
        if not is_channel_name(name):
            return
        entry = self._look(lambda: self._state.entries.get(name))
        members = "one of its member events"
        if entry is not None and isinstance(entry.active, ChannelDefinition):
            members = one_of([member.event for member in entry.active.members])
        raise UsageError(f"{name} is a channel; publish to {members}, the channel gets it")

    def channel(self, name: str) -> ChannelDefinition:
        """Return the active definition of a channel; raises as `entry` does."""
        active = self.entry(name).active
        assert isinstance(active, ChannelDefinition)
        return active

    def schema(self, schema_id: str, since: float = math.inf, *, wait: bool = True) -> Schema:
        """Return a schema by its ID, of whatever event and version.

        Args:
            schema_id: which.
            since: what was applied before this moment, by `time.monotonic()`, is found; by
                default before this call.
            wait: False answers by what has arrived rather than wait for the next refresh.

        Raises:
            UnknownSchemaError: it was never applied in this tenant.
            CatalogCorruptError: its record cannot be read; the message says how to repair it.
            BrokerError: the catalog cannot be read.
        """
        schema = self._look(lambda: self._state.find_schema(schema_id), since, wait=wait)
        if schema is not None:
            return schema
        try:
            return self._state.schemas[schema_id]
        except KeyError:
            raise UnknownSchemaError(
                schema_id,
                f"schema {schema_id} was never applied in tenant {self._settings.tenant!r}",
            ) from None

    def cached(self, name: str) -> Entry | None:
        """Return what was last read of an event or channel, without asking."""
        return self._state.entries.get(name)

    def cached_schema(self, schema_id: str) -> Schema | None:
        """Return a schema if it was read, without asking.

        Raises:
            CatalogCorruptError: its record cannot be read.
        """
        return self._state.schemas.get(schema_id)

    def current(self, entry: Entry) -> Entry | None:
        """Return what was last read of the event or channel of an entry read before.

        A catalog that was lost, or in which nothing is yet, takes nothing back.
        """
        return self._state.entries.get(entry.name) if self._is_read else entry

    def entries(self) -> list[Entry]:
        """Return by name every entry that is active, pending or unreadable."""
        self.refresh()
        return sorted(
            (e for e in self.known() if e.active or e.pending or e.unreadable),
            key=lambda entry: entry.name,
        )

    def known(self) -> list[Entry]:
        """Return every entry as last read, deleted events included.

        It is whole if `is_read` and `revision` say the same before and after.
        """
        return list(self._state.entries.values())

    def refresh(self) -> None:
        """Read everything written up to now.

        Raises:
            BrokerError: the cluster cannot be asked.
        """
        with self._reading:
            began = self._asked = time.monotonic()
            topic = self._admin.describe_one(self.topic, expected=bool(self.topic_id))
            log = self._observe(topic)
            if topic is not None:
                first, end = self._admin.watermarks({self.topic: 1})[self.topic][0]
                if log is None:
                    log = self._log = CatalogLog(self._settings, self.topic, first, self._fold)
                self._read_up_to(log, end)
            self._known = began

    def follow(self) -> None:
        """Take what has arrived meanwhile, without waiting."""
        with self._reading:
            self._follow()

    def keep_up(self, tail: Callable[[], Tail]) -> None:
        """Take what has arrived meanwhile, through a tail once the catalog was read.

        It does nothing while another thread reads.

        Raises:
            BrokerError: the broker does not let us read.
        """
        if not self._reading.acquire(blocking=False):
            return
        spare: TopicReader | None = None
        try:
            self._follow()
            if self._log is not None and self._log.is_attachable:
                spare = self._log.attach(tail())
        finally:
            self._reading.release()
        if spare is not None:
            spare.close()

    def learn(self, asked_at: float, topic: Topic | None, end: int) -> None:
        """Take what somebody asked for many catalogs at once, unless this has asked since.

        It does nothing while another thread reads.

        Args:
            asked_at: when, by `time.monotonic()`: everything written up to then is read.
            topic: the catalog's topic then.
            end: the end of what could be read then.

        Raises:
            BrokerError: the catalog cannot be read.
        """
        if not self._reading.acquire(blocking=False):
            return
        try:
            if asked_at <= self._asked:
                return
            log = self._observe(topic)
            if log is not None:
                self._read_up_to(log, end)
            if log is not None or topic is None:
                self._asked = self._known = asked_at
                return
        finally:
            self._reading.release()
        # It is read for the first time.
        self.refresh()

    @property
    def is_adrift(self) -> bool:
        """Whether the tail was left for a reason that `learn` finds out."""
        log = self._log
        return log is not None and log.is_adrift

    def close(self) -> None:
        """Stop following."""
        with self._reading:
            self._restart("")

    def _active(self, name: str) -> Entry | None:
        entry = self._state.entries.get(name)
        return entry if entry is not None and entry.active is not None else None

    def _look(
        self, find: Callable[[], Answer | None], since: float = math.inf, *, wait: bool = True
    ) -> Answer | None:
        """Return what is found, after reading on as far as it takes to be sure of nothing."""
        answer = find()
        if answer is None:
            since = min(since, time.monotonic())
            self.follow()
            answer = find()
        if answer is None and self._renew(since, wait=wait):
            answer = find()
        return answer

    def _renew(self, since: float, *, wait: bool) -> bool:
        """Know everything written before `since`; return whether that is so.

        Whoever asks while another one waits for the next refresh shares it.
        """
        if not self._asking.acquire(blocking=wait):
            return False
        try:
            while self._known < since:
                pause = self._asked + _REFRESH_INTERVAL - time.monotonic()
                if pause <= 0:
                    self.refresh()
                elif wait:
                    time.sleep(pause)
                else:
                    return False
            return True
        finally:
            self._asking.release()

    def _observe(self, topic: Topic | None) -> CatalogLog | None:
        """Begin again if the topic is another one; return the log if it is read already."""
        topic_id = topic.topic_id if topic else ""
        if topic is None or topic_id != self.topic_id:
            self._restart(topic_id)
        return self._log

    def _restart(self, topic_id: str) -> None:
        if self._log is not None:
            self._log.close()
        self._log = None
        # First, for those who look without waiting.
        self._is_read = False
        self._known = -math.inf
        self._state = CatalogState()
        self.revision += 1
        self.topic_id = topic_id

    def _follow(self) -> None:
        while self._log is not None and self._log.take(0):
            pass

    def _read_up_to(self, log: CatalogLog, end: int) -> None:
        log.take_up_to(end)
        self._is_read = end > 0

    def _fold(self, records: Sequence[Record]) -> None:
        state = self._state.copy()
        for record in records:
            state.fold(record.key(), record.value(), f"{self.topic}@{record.offset()}")
        self._state = state
        self.revision += len(records)

    def _explain_unknown(self, name: str, entry: Entry | None) -> str:
        tenant = self._settings.tenant
        if entry is not None and entry.wanted is not None:
            return f"{name} is being applied and not ready yet; run platform-events apply to finish"
        if entry is not None:
            return f"{name} was deleted from tenant {tenant!r}"
        names = sorted(e.name for e in self.known() if e.active)
        if not names:
            return (
                f"{name} is unknown: tenant {tenant!r} has no definitions; "
                "apply some with platform-events apply"
            )
        close = _closest(name, names)
        hint = f"did you mean {close}?" if close else f"it has {', '.join(names[:8])}"
        return f"{name} is unknown in tenant {tenant!r}; {hint}"


def _closest(name: str, names: list[str]) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(name, names, n=1)), None)
