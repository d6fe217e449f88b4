"""Payloads that clients encoded: stored as they came, so judged byte by byte before."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from platform_events.bus.values import EncodedMessage
from platform_events.errors import (
    PayloadError,
    PlatformEventsError,
    UnknownSchemaError,
    UsageError,
)
from platform_events.payloads.codec import DecodeError, PayloadWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from platform_events.catalog.state import Entry
    from platform_events.definitions.schema import Schema


class ForeignPayloads:
    """Judges the events that clients send to one event definition.

    A payload may be of any schema that the definition ever had: clients keep schemas for ever.

    Args:
        entry: the definition.
        find_schema: returns a schema that was ever applied in the tenant, without asking for it.
        doubt: why a schema that is not found may exist all the same; None: it does not.
    """

    def __init__(
        self,
        entry: Entry,
        find_schema: Callable[[str], Schema | None],
        doubt: PlatformEventsError | None = None,
    ) -> None:
        self._name = entry.name
        self._schema_ids = entry.schema_ids
        self._find_schema = find_schema
        self._doubt = doubt
        self._known: dict[str, tuple[Schema, Callable[[bytes], None]]] = {}

    def knows(self, events: Iterable[Any]) -> bool:
        """Whether the schemas of all these `ProducerEvent`s are the definition's."""
        return {event.schema_id for event in events} - {""} <= set(self._schema_ids)

    def take(self, event: Any) -> EncodedMessage | PlatformEventsError:
        """Return a `ProducerEvent` as a message, or why it is refused."""
        try:
            payload = event.payload
            schema = self.judge(event.schema_id, payload)
            headers = _headers(event.headers) if event.headers else None
        except PlatformEventsError as error:
            return error
        return EncodedMessage(payload, schema, event.id or None, headers)

    def judge(self, schema_id: str, payload: bytes) -> Schema:
        """Return the schema of a payload that decoding takes, and encoding after that.

        Raises:
            UnknownSchemaError: the definition never had the schema.
            PayloadError: it is not exactly one payload of the schema.
            CatalogCorruptError: the catalog's record of the schema cannot be read.
            BrokerError: the schema is not known, and the catalog cannot be asked for it.
        """
        known = self._known.get(schema_id)
        if known is None:
            known = self._known[schema_id] = self._find(schema_id)
        schema, check = known
        try:
            check(payload)
        except DecodeError as error:
            raise PayloadError(
                "", f"the payload is not one of schema {schema_id} of {self._name}: {error}"
            ) from error
        return schema

    def _find(self, schema_id: str) -> tuple[Schema, Callable[[bytes], None]]:
        if not schema_id:
            raise UnknownSchemaError(
                "", "the schema ID can't be blank; GetTopic has the one to publish with"
            )
        schema = self._find_schema(schema_id) if schema_id in self._schema_ids else None
        if schema is None:
            # Whether another event has it is not for everybody to know.
            raise self._doubt or UnknownSchemaError(
                schema_id,
                f"{self._name} never had a schema {schema_id[:100]!r}; GetTopic has the one to "
                "publish with",
            )
        return schema, _walk(schema)


@lru_cache(maxsize=1024)
def _walk(schema: Schema) -> Callable[[bytes], None]:
    return PayloadWalk(schema.parsed).check


def _headers(headers: Iterable[Any]) -> dict[str, bytes]:
    """Return `EventHeader`s by their keys.

    Raises:
        UsageError: a key is there twice; readers would see one of them.
    """
    found: dict[str, bytes] = {}
    for header in headers:
        if header.key in found:
            raise UsageError(f"header {header.key[:100]!r} is there twice")
        found[header.key] = header.value
    return found
