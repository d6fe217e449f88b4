"""Where events of one definition go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from platform_events.definitions.model import EventDefinition
from platform_events.envelope import ID, fixed_headers, header_bytes
from platform_events.metrics.meters import METERS
from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.bus.starts import Stream
    from platform_events.bus.vouching import Voucher
    from platform_events.catalog.state import Entry
    from platform_events.definitions.schema import Schema
    from platform_events.envelope import Headers
    from platform_events.kafka.watch import Watched


class Envelope:
    """What the bus itself says beside bodies of one schema."""

    __slots__ = ("headers", "size")

    def __init__(self, event: str, source: str, schema: Schema) -> None:
        self.headers: Headers = fixed_headers(event, source, schema.id)
        """All but the event ID, which goes before them."""
        self.size = header_bytes(self.headers) + len(ID)
        """Bytes of them, without those of the event ID itself."""


class Target:
    """Where events of one definition go, and how. What it says stays; another one follows it."""

    def __init__(self, entry: Entry, stream: Stream, watched: Watched, voucher: Voucher,
                 source: str) -> None:  # fmt: skip
        definition = entry.active
        assert isinstance(definition, EventDefinition)
        self.entry = entry
        self.name = entry.name
        self.stream = stream
        self.watched = watched
        self.voucher = voucher
        self.topic = stream.topic.name
        self.identity = stream.identity
        self.offset_tag = stream.identity.tags[0] if stream.identity.partitions == 1 else None
        """Of replay IDs, where they are offsets."""
        self.doing = f"publishing to {stream.path}"
        self.encode = PayloadEncoder(definition.schema.parsed).encode
        self.fields = frozenset(field["name"] for field in definition.schema.parsed["fields"])
        self.key = definition.partition_key
        self.key_default = _key_default(definition)
        self.envelope = Envelope(entry.name, source, definition.schema)
        """Of bodies that `encode` makes."""
        self._source = source
        self._foreign: dict[str, tuple[Envelope, Callable[[bytes], bytes] | None]] = {}
        self.meter = METERS.publishing(entry.name)
        self.is_outdated = False
        """Whether it was found not to be current, at the last look at catalog and topics."""

    @property
    def has_moved(self) -> bool:
        """Whether the topic is another one than it was, has other partitions, or is not ours."""
        watched = self.watched
        return watched.topic is not self.stream.topic or watched.deleted or self.voucher.is_wrong

    def foreign(self, schema: Schema) -> tuple[Envelope, Callable[[bytes], bytes] | None]:
        """Return what goes beside bodies that others encoded with a schema of the event.

        Besides it, what finds the key in such a body; None if events have no key.
        """
        found = self._foreign.get(schema.id)
        if found is None:
            envelope = Envelope(self.name, self._source, schema)
            found = self._foreign[schema.id] = envelope, self._key_finder(schema)
        return found

    def _key_finder(self, schema: Schema) -> Callable[[bytes], bytes] | None:
        key, default = self.key, self.key_default
        if key is None:
            return None
        decode = PayloadDecoder(schema.parsed).decode
        return lambda body: key_bytes(decode(body).get(key, default))


def key_bytes(value: Any) -> bytes:
    """Return the UTF-8 of a key's text; members of enums that are text or numbers count as such."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int):
        return b"%d" % value
    return str(value).encode()


def _key_default(definition: EventDefinition) -> Any:
    for field in definition.schema.parsed["fields"]:
        if field["name"] == definition.partition_key and "default" in field:
            of_uuid = isinstance(field["type"], dict) and field["type"].get("logicalType") == "uuid"
            return UUID(field["default"]) if of_uuid else field["default"]
    return None
