"""Avro schemas of events and their IDs."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import md5
from typing import Any, cast

from platform_events.errors import CatalogCorruptError, UsageError

GUID_BYTES = 16
"""Bytes of a schema's GUID, the MD5 of its canonical form."""
_SCHEMA_ID = re.compile("[A-Za-z0-9_-]{21}[AQgw]")
"""The last of 22 characters has two bits to give, so an ID has one spelling."""

CREATED_DATE = "CreatedDate"
CREATED_BY = "CreatedById"
SYSTEM_FIELDS: dict[str, dict[str, Any]] = {
    CREATED_DATE: {
        "name": CREATED_DATE,
        "type": "long",
        "doc": "When the event was created, in milliseconds since 1970-01-01 UTC.",
    },
    CREATED_BY: {"name": CREATED_BY, "type": "string", "doc": "Who created the event."},
}
"""The first two fields of every event's record, in this order, in Avro's notation."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of an event's Avro schema. Equal if the text is equal.

    `files.schema_source.parse_schema` makes one of what people write.
    """

    text: str
    """Compact JSON in the normal form that `files` makes, with docs, defaults and logical types."""
    id: str = field(compare=False)
    """base64url(MD5(Avro Parsing Canonical Form)) without padding: 22 characters."""
    name: str = field(compare=False)
    """Name of the record without namespace, such as `Order_Placed__e`."""

    @classmethod
    def from_catalog(cls, schema_id: str, avro: dict[str, Any]) -> Schema:
        """Make the schema that the catalog keeps under an ID, without judging it again."""
        return cls(_compact(avro), schema_id, avro["name"])

    @classmethod
    def from_normal(cls, avro: dict[str, Any]) -> Schema:
        """Make a schema of a record that was read without problems."""
        from fastavro.schema import to_parsing_canonical_form

        canonical = to_parsing_canonical_form(avro)
        guid = md5(canonical.encode(), usedforsecurity=False).digest()
        return cls(_compact(avro), schema_id_from_guid(guid), avro["name"])

    @property
    def parsed(self) -> dict[str, Any]:
        """The schema as fastavro's `parse_schema` returns it; shared, so leave it unchanged.

        Raises:
            CatalogCorruptError: other software wrote into the catalog what is no Avro schema.
        """
        try:
            return _parse(self.text)
        except Exception as error:
            raise CatalogCorruptError(
                f"schema {self.id} is not Avro ({error!r:.200}); apply the definition again that "
                "has this schema"
            ) from error

    @property
    def guid(self) -> bytes:
        """The ID as its 16 bytes."""
        return guid_from_schema_id(self.id)


def schema_id_from_guid(guid: bytes) -> str:
    """Return the schema ID of 16 bytes.

    Raises:
        UsageError: they are not 16.
    """
    if len(guid) != GUID_BYTES:
        raise UsageError(f"a schema's GUID has {GUID_BYTES} bytes, not {len(guid)}")
    return urlsafe_b64encode(guid).rstrip(b"=").decode()


def guid_from_schema_id(schema_id: str) -> bytes:
    """Return the 16 bytes of a schema ID.

    Raises:
        UsageError: the text is not a schema ID.
    """
    if _SCHEMA_ID.fullmatch(schema_id):
        return urlsafe_b64decode(schema_id + "==")
    raise UsageError(f"{schema_id!r:.60} is not a schema ID: it has 22 characters of base64url")


def _compact(avro: dict[str, Any]) -> str:
    return json.dumps(avro, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=1024)
def _parse(text: str) -> dict[str, Any]:
    from fastavro.schema import parse_schema

    return cast("dict[str, Any]", parse_schema(json.loads(text)))
