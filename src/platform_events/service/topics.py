"""GetTopic and GetSchema: what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_events.definitions.model import EventDefinition
from platform_events.errors import PlatformEventsError
from platform_events.names import stream_path
from platform_events.service.calls import parse
from platform_events.service.errors import (
    SCHEMA_INVALID,
    SCHEMA_UNAVAILABLE,
    TOPIC_EMPTY,
    CallError,
    call_error,
    topic_not_found,
)
from platform_events.service.messages import SchemaInfo, SchemaRequest, TopicInfo, TopicRequest

if TYPE_CHECKING:
    from platform_events.service.calls import Call
    from platform_events.service.tenants import Tenants


class Topics:
    """Answers what a stream is, and what a schema.

    Args:
        tenants: whose.
    """

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants

    async def get_topic(self, call: Call, request: bytes) -> bytes:
        """Return a `TopicInfo`. A channel has no schema of its own, so its schema ID is empty."""
        name = parse(TopicRequest, request, TOPIC_EMPTY).topic_name
        if not name:
            raise CallError(TOPIC_EMPTY, "The topic name can't be blank.")
        session = call.session
        tenant = await self._tenants.of(session)
        entry = await tenant.entry(name, session, "publish", "subscribe")
        definition = entry.active
        is_event = isinstance(definition, EventDefinition)
        can_publish = is_event and session.may("publish", entry.name)
        can_subscribe = session.may("subscribe", entry.name)
        if not (can_publish or can_subscribe):
            raise topic_not_found(name)
        info = TopicInfo(
            topic_name=stream_path(entry.name),
            tenant_guid=f"CORE/prod/{tenant.id}",
            can_publish=can_publish,
            can_subscribe=can_subscribe,
            schema_id=definition.schema.id if isinstance(definition, EventDefinition) else "",
            rpc_id=call.rpc_id,
        )
        return bytes(info.SerializeToString())

    async def get_schema(self, call: Call, request: bytes) -> bytes:
        """Return a `SchemaInfo`, of whatever version of whatever event."""
        schema_id = parse(SchemaRequest, request, SCHEMA_INVALID).schema_id
        if not schema_id:
            raise CallError(
                SCHEMA_INVALID, "Schema validation failed. The schema ID can't be blank."
            )
        tenant = await self._tenants.of(call.session)
        try:
            schema = await tenant.schema(schema_id)
        except PlatformEventsError as error:
            raise call_error(error, SCHEMA_UNAVAILABLE) from error
        info = SchemaInfo(schema_json=schema.text, schema_id=schema_id, rpc_id=call.rpc_id)
        return bytes(info.SerializeToString())
