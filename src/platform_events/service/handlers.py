"""The calls of the Pub/Sub API, and who answers each."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import grpc

from platform_events.service.calls import Calls
from platform_events.service.messages import SERVICE
from platform_events.service.publish import Publishing
from platform_events.service.subscribe import Subscribing
from platform_events.service.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from platform_events.service.access import Access
    from platform_events.service.tenants import Tenants

Step: TypeAlias = "Callable[[], Awaitable[None]]"


class PubSub:
    """The API, for a gRPC server. For the event loop.

    Args:
        access: knows callers.
        tenants: whose events and channels.
    """

    def __init__(self, access: Access, tenants: Tenants) -> None:
        self.calls = calls = Calls(access)
        topics = Topics(tenants)
        publishing = Publishing(tenants)
        self.subscribing = subscribing = Subscribing(tenants)
        self.handlers: grpc.GenericRpcHandler[bytes, bytes] = grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "GetTopic": calls.unary(topics.get_topic),
                "GetSchema": calls.unary(topics.get_schema),
                "Publish": calls.unary(publishing.publish),
                "PublishStream": calls.streaming(publishing.publish_stream),
                "Subscribe": calls.streaming(subscribing.subscribe),
            },
        )
        self.drains: tuple[Step, ...] = (publishing.drain, subscribing.drain)
        """Each has its streams say how far they are, and end."""
        self.closes: tuple[Step, ...] = (subscribing.close,)
        """Each lets go what it has in other threads, once no call is left."""
