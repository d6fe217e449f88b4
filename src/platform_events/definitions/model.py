"""What is defined: events, channels, and the set of them that one project owns."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from platform_events.definitions.changes import COMPATIBILITIES, Compatibility
from platform_events.errors import CatalogCorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.definitions.schema import Schema

DEFAULT_PROJECT = "default"
DEFAULT_RETENTION = 72 * 3_600_000
"""Milliseconds."""

MemberStart: TypeAlias = Literal["earliest", "now"]
"""Which of a new member's events a channel gets: all that are still there, or those to come."""

_T = TypeVar("_T")
_COMMON: dict[str, type] = {
    **dict.fromkeys(("label", "description", "owner"), str),
    **dict.fromkeys(("retention_ms", "partitions"), int),
}
"""What all definitions have, and the kinds of these values."""


@dataclass(frozen=True, slots=True)
class EventDefinition:
    """One event: what its messages contain and how its stream keeps them."""

    name: str
    """Such as `Order_Placed__e`; also the name of the schema's record."""
    schema: Schema
    """What a payload is."""
    label: str = ""
    """Name for people, one line."""
    description: str = ""
    """What the event says and when it is published."""
    owner: str = ""
    """Team or person to ask."""
    retention_ms: int = DEFAULT_RETENTION
    """Milliseconds that events are kept. Default 72 h."""
    partitions: int = 1
    """Partitions of the topic. 1: total order."""
    partition_key: str | None = None
    """Field whose value decides the partition; never None with more than one partition."""
    compatibility: Compatibility = COMPATIBILITIES[0]
    """Which readers a new version of the schema must not break. Default `full`: none."""
    file: str = field(default="", compare=False)
    """File that defines it, as the user named it; empty if it comes from the catalog."""
    line: int | None = field(default=None, compare=False)
    """Line of its name in `file`, 1-based."""
    places: Mapping[tuple[str, str], str] = field(default_factory=dict, compare=False, repr=False)
    """Where in files its fields are, as `file:line:column`: by the full name of the record and the
    field's name, which is empty for the record itself."""

    def to_json(self) -> dict[str, Any]:
        """Return the definition for the catalog; the schema is named by its ID."""
        return {
            "event": self.name,
            "schema_id": self.schema.id,
            **_common_json(self),
            "partition_key": self.partition_key,
            "compatibility": self.compatibility,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], schema: Schema) -> EventDefinition:
        """Read what `to_json` wrote; keys that a newer version added are ignored.

        Raises:
            CatalogCorruptError: a part is missing or of the wrong kind, or names another schema.
        """
        name = _part(document, "event", str)
        if schema.id != _part(document, "schema_id", str):
            raise CatalogCorruptError(f"the definition of {name} names another schema than its own")
        key = document.get("partition_key")
        return cls(
            name=name,
            schema=schema,
            **_read_common(document),
            partition_key=None if key is None else _part(document, "partition_key", str),
            compatibility=_read_mode(document.get("compatibility")),
        )


@dataclass(frozen=True, slots=True)
class Member:
    """One event of a channel."""

    event: str
    """Name of its definition."""
    filter: str = ""
    """Expression that an event has to pass; empty: every event passes."""
    start: MemberStart = "earliest"
    """Which events the channel gets when the member is added. Default: all that are kept."""


@dataclass(frozen=True, slots=True)
class ChannelDefinition:
    """A custom channel: one stream of several events."""

    name: str
    """Such as `Fulfillment__chn`."""
    members: tuple[Member, ...]
    """In the order of their events' names; at least one, each event once."""
    retention_ms: int
    """Milliseconds that events are kept; at least the longest of the members'."""
    label: str = ""
    """Name for people, one line."""
    description: str = ""
    """What the channel is for."""
    owner: str = ""
    """Team or person to ask."""
    partitions: int = 1
    """Partitions of the topic. More than 1: each member has as many, and a partition key."""
    file: str = field(default="", compare=False)
    """File that defines it, as the user named it; empty if it comes from the catalog."""
    line: int | None = field(default=None, compare=False)
    """Line of its name in `file`, 1-based."""

    def to_json(self) -> dict[str, Any]:
        """Return the definition for the catalog."""
        return {
            "channel": self.name,
            "members": [
                {"event": member.event, "filter": member.filter, "from": member.start}
                for member in self.members
            ],
            **_common_json(self),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ChannelDefinition:
        """Read what `to_json` wrote; keys that a newer version added are ignored.

        Raises:
            CatalogCorruptError: a part is missing or of the wrong kind.
        """
        return cls(
            name=_part(document, "channel", str),
            members=tuple(
                Member(
                    _part(member, "event", str),
                    _part(member, "filter", str),
                    "now" if _part(member, "from", str) == "now" else "earliest",
                )
                for member in _part(document, "members", list)
            ),
            **_read_common(document),
        )


Definition: TypeAlias = EventDefinition | ChannelDefinition
"""What a stream is made of."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """Everything that one project defines."""

    project: str = DEFAULT_PROJECT
    """Owner of these definitions in the tenant."""
    events: Mapping[str, EventDefinition] = field(default_factory=dict)
    """Events by name, in the order of their names."""
    channels: Mapping[str, ChannelDefinition] = field(default_factory=dict)
    """Channels by name, in the order of their names."""

    def __post_init__(self) -> None:
        for part in ("events", "channels"):
            given: Mapping[str, Definition] = getattr(self, part)
            ordered = {name: given[name] for name in sorted(given)}
            object.__setattr__(self, part, MappingProxyType(ordered))


def _common_json(definition: Definition) -> dict[str, Any]:
    return {key: getattr(definition, key) for key in _COMMON}


def _read_common(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _part(document, key, kind) for key, kind in _COMMON.items()}


def _read_mode(mode: Any) -> Compatibility:
    """Return a mode; the default for what was written before there were modes, or since."""
    return next((one for one in COMPATIBILITIES if one == mode), COMPATIBILITIES[0])


def _part(document: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    value = document.get(key)
    if type(value) is not kind:
        raise CatalogCorruptError(f"a definition's {key} is not {kind.__name__}: {value!r:.60}")
    return value
