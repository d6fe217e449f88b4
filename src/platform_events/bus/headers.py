"""Record headers: CloudEvents' Kafka binary mode, and the schema ID as Confluent's clients read it.

Sources: CloudEvents Kafka protocol binding 1.0, section 3.2; Confluent's header schema ID format
(the byte 1, then the 16 bytes of a schema GUID).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from platform_events.definitions.schema import guid_from_schema_id
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ID = "ce_id"
TYPE = "ce_type"
SCHEMA = "__value_schema_id"
ORIGIN = "ce_origin"
"""In a channel, the last header: where the event was first stored."""
DEAD_LETTER_REASON = "ce_deadletterreason"
"""After the origin of a record that was dead-lettered: why."""
_SCHEMA_MAGIC = b"\x01"
_GUID_BYTES = 16
_RESERVED_PREFIX = "ce_"
_RESERVED = frozenset({"content-type", SCHEMA, "__key_schema_id"})

Headers: TypeAlias = list[tuple[str, bytes]]
RecordHeaders: TypeAlias = "Sequence[tuple[str, bytes | None]]"


def fixed_headers(event_name: str, source: str, schema_id: str) -> Headers:
    """Return the headers that all events of one definition share.

    `ce_id` goes before them: readers look for it and for the schema in every record, so these two
    come first.
    """
    return [
        (SCHEMA, _SCHEMA_MAGIC + guid_from_schema_id(schema_id)),
        (TYPE, event_name.encode()),
        ("ce_specversion", b"1.0"),
        ("ce_source", source.encode()),
        ("content-type", b"application/avro"),
    ]


def find_header(headers: RecordHeaders, name: str) -> bytes | None:
    """Return the first header of that name, None if there is none."""
    for found, value in headers:
        if found == name:
            return value
    return None


def schema_guid(header: bytes | None) -> bytes | None:
    """Return the 16 bytes of the writer's schema, None if the header is not of that form."""
    if header is None or len(header) != _GUID_BYTES + 1 or header[:1] != _SCHEMA_MAGIC:
        return None
    return header[1:]


def user_headers(headers: Mapping[str, str | bytes] | None) -> Headers:
    """Return the publisher's own headers as Kafka takes them.

    Raises:
        UsageError: a name is not text or is taken, or a value is neither text nor bytes.
    """
    if not headers:
        return []
    result = []
    for name, value in headers.items():
        if not isinstance(name, str) or not name:
            raise UsageError(f"header name {name!r} must be text")
        if name.startswith(_RESERVED_PREFIX) or name in _RESERVED:
            raise UsageError(f"header {name!r} is set by the bus; choose another name")
        if not isinstance(value, (str, bytes)):
            raise UsageError(f"header {name!r} must be text or bytes, not {type(value).__name__}")
        try:
            name.encode()
            result.append((name, value.encode() if isinstance(value, str) else value))
        except UnicodeEncodeError:
            raise UsageError(f"header {name!r} has text that is not Unicode") from None
    return result


def header_bytes(headers: Headers) -> int:
    """Return how many bytes the headers have."""
    return sum(len(name) + len(value) for name, value in headers)


def without_reserved(headers: RecordHeaders) -> dict[str, bytes]:
    """Return the publisher's own headers of a record."""
    return {
        name: value or b""
        for name, value in headers
        if not name.startswith(_RESERVED_PREFIX) and name not in _RESERVED
    }
