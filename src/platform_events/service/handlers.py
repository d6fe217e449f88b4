"""The calls of the Pub/Sub API, and who answers each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from platform_events.service.calls import Calls
from platform_events.service.messages import SERVICE
from platform_events.service.topics import Topics

if TYPE_CHECKING:
    from platform_events.service.access import Access
    from platform_events.service.subscribe import Subscribing
    from platform_events.service.tenants import Tenants


def pubsub_handlers(
    access: Access, tenants: Tenants, subscribing: Subscribing
) -> grpc.GenericRpcHandler:
    """Return what a gRPC server needs to speak the API.

    Args:
        access: knows callers.
        tenants: whose events and channels.
        subscribing: answers Subscribe; whoever ends the server drains it first.
    """
    calls = Calls(access)
    topics = Topics(tenants)
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "GetTopic": calls.unary(topics.get_topic),
            "GetSchema": calls.unary(topics.get_schema),
            "Subscribe": calls.streaming(subscribing.subscribe),
        },
    )
