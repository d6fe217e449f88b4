"""Schemas as Confluent's deserializers ask a Schema Registry for them."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from anyio import to_thread
from starlette.routing import Route

from platform_events.definitions.schema import schema_id_from_guid
from platform_events.errors import UnknownSchemaError
from platform_events.service.http.answers import RegistryAnswer, refuse
from platform_events.wording import shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from platform_events.bus.bus import EventBus

BusOf: TypeAlias = "Callable[[Request], Awaitable[EventBus]]"
_SCHEMA_NOT_FOUND = 40403


def registry_routes(bus_of: BusOf) -> list[Route]:
    """Return the routes that answer from the catalog of a bus.

    The query parameter `format` is for schemas that refer to others, which ours never do.

    Args:
        bus_of: returns that of who sends a request.
    """

    async def answer_guid(request: Request) -> RegistryAnswer:
        bus = await bus_of(request)
        find = partial(_find_schema, bus, request.path_params["guid"])
        try:
            # Asking Kafka may take seconds: a server that ends does not wait for it.
            document = await to_thread.run_sync(find, abandon_on_cancel=True)
        except UnknownSchemaError as error:
            return refuse(404, str(error), _SCHEMA_NOT_FOUND)
        return RegistryAnswer(document)

    return [Route("/schemas/guids/{guid}", answer_guid)]


def _find_schema(bus: EventBus, text: str) -> dict[str, str]:
    """Return what is answered for a GUID.

    Raises:
        UnknownSchemaError: it is none, or its schema was never applied in this tenant.
        CatalogCorruptError: the schema's record cannot be read.
        BrokerError: the catalog cannot be read.
    """
    guid = _parse_guid(text)
    if guid is None:
        raise UnknownSchemaError(
            "", f"there is no schema {shown(text)}: a GUID has the form of a UUID with dashes"
        )
    schema = bus.catalog.schema(schema_id_from_guid(guid.bytes))
    # Clients keep a schema under the GUID in the answer. Without it they ask for every record.
    return {"guid": str(guid), "schemaType": "AVRO", "schema": schema.text}


def _parse_guid(text: str) -> uuid.UUID | None:
    try:
        guid = uuid.UUID(text)
    except ValueError:
        return None
    return guid if str(guid) == text.lower() else None
