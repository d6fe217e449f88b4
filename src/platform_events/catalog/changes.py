"""What a plan consists of: one change for each event and channel."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from platform_events.names import Namespace, is_channel_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.catalog.state import Entry


class Action(enum.Enum):
    """What happens to one event or channel."""

    CREATE = "create"
    UPDATE = "update"
    REPAIR = "repair"
    DELETE = "delete"
    KEEP = "keep"
    """No file defines it any more; only pruning deletes it."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the operator allows, and what topics are made with."""

    allow_growth: bool = False
    """Add partitions although keys move to other partitions."""
    replace: frozenset[str] = frozenset()
    """Events whose streams begin again if their new versions break readers: with topics of their
    own, and compared with that version only."""
    prune: bool = False
    """Delete this project's events and channels that no file defines any more."""
    replication_factor: int = -1
    """Replicas of new topics. -1: the broker's default."""
    min_insync_replicas: int | None = None
    """`min.insync.replicas` of topics. None: the broker's default."""
    max_message_bytes: int = 0
    """`max.message.bytes` of events' topics."""
    max_channel_message_bytes: int = 0
    """`max.message.bytes` of channels' topics, whose records also say where they come from."""
    namespace: Namespace = field(default_factory=Namespace)
    """What topics are called."""


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What happens to one topic. One that is deleted and made is another one after."""

    topic: str
    """Its name in Kafka."""
    create: bool = False
    partitions: int = 1
    """Partitions of a new topic."""
    grow_to: int | None = None
    """Partitions that it gets; None: it keeps those it has."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Config to set; all of it for a new topic."""
    delete: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one event or channel, and to its topics."""

    action: Action
    name: str
    details: tuple[str, ...] = ()
    """Each thing that changes, in words."""
    refusals: tuple[str, ...] = ()
    """Why it is refused; empty when it is not."""
    entry: Entry | None = None
    """What the catalog will say, with `wanted` set; None when it stays as it is."""
    asks: tuple[str, ...] = ()
    """What has to be confirmed, such as the events that go; among the details too."""
    topics: tuple[TopicChange, ...] = ()
    """Topics that have to be made, changed or deleted."""
    renumbers: bool = False
    """Whether the channel gets a new definition number."""

    @property
    def retires(self) -> bool:
        """Whether topics are deleted that publishers have to leave first."""
        is_retired = self.entry is not None and self.entry.retired
        return is_retired and any(topic.delete for topic in self.topics)

    @property
    def kind(self) -> Literal["event", "channel"]:
        """What the name names."""
        return "channel" if is_channel_name(self.name) else "event"


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes for one project, in the order in which they are made.

    Events come before the channels that read them, and are deleted after them.
    """

    project: str
    changes: tuple[Change, ...]

    @property
    def effective(self) -> tuple[Change, ...]:
        """The changes that change something."""
        return tuple(c for c in self.changes if c.action not in (Action.NONE, Action.KEEP))

    @property
    def asks(self) -> tuple[str, ...]:
        """Everything to confirm, each beginning with the event's or channel's name."""
        return tuple(f"{c.name}: {ask}" for c in self.effective for ask in c.asks)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Everything refused, each beginning with the event's or channel's name."""
        return tuple(f"{c.name}: {refusal}" for c in self.changes for refusal in c.refusals)
