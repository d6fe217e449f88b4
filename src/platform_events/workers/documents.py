"""Records of a journal: JSON documents with a version, read strictly; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
"""Of all documents. What a newer version wrote is not read, and nothing else suffers from it."""
_Value = TypeVar("_Value")


class StoredRecord(Protocol):
    """One record of a journal as the client library gives it."""

    def offset(self) -> int:
        """Return the position in the partition."""

    def key(self) -> bytes | None:
        """Return the key."""

    def value(self) -> bytes | None:
        """Return the value; None is a tombstone."""

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Return the headers in order; None when there are none."""


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """A record to be written into a journal."""

    key: bytes
    value: bytes | None
    """None is a tombstone."""
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of key, value and headers."""
        return (
            len(self.key)
            + len(self.value or b"")
            + sum(len(name.encode()) + len(value or b"") for name, value in self.headers)
        )


class UnreadableRecordError(ValueError):
    """A record is none that this version writes; the text says why, for people."""


def to_json(document: Mapping[str, Any]) -> bytes:
    """Return a document as text."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace")


def from_json(text: bytes | None, version: str) -> dict[str, Any]:
    """Return a document.

    Args:
        text: as it was written.
        version: where the document says how it is to be read.

    Raises:
        UnreadableRecordError: it is none, or a newer version wrote it.
    """
    try:
        document = json.loads(text or b"")
    except (ValueError, RecursionError):
        raise UnreadableRecordError("it is not JSON") from None
    if not isinstance(document, dict):
        raise UnreadableRecordError("it is no JSON object")
    found = get(document, version, int)
    if found > VERSION:
        raise UnreadableRecordError(
            f"a newer version of platform-events wrote it (form {found}): run that version"
        )
    return document


def get(document: Mapping[str, Any], name: str, kind: type[_Value]) -> _Value:
    """Return what a document says.

    Raises:
        UnreadableRecordError: it does not, or something of another kind.
    """
    value = document.get(name)
    # Exactly: a boolean would pass for a number.
    if type(value) is not kind:
        raise UnreadableRecordError(f"its {name} is not what this version writes")
    return value
