"""gRPC's health checks: whether the service does its work."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from platform_events.service.messages import SERVICE

_STATUSES = health_pb2.HealthCheckResponse
_SERVICES = ("", SERVICE)
"""Of which something is known: the server as a whole, and the API."""


class HealthChecks(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Answers them; not serving until told otherwise. For the event loop.

    grpcio's own has a lock while it writes: one client that does not read keeps whoever tells the
    status waiting, and the end of the server with it (tried).
    """

    def __init__(self) -> None:
        self._status = _STATUSES.NOT_SERVING
        self._changed = asyncio.Event()

    def tell(self, *, is_serving: bool) -> None:
        """Take the status, and have those who watch told."""
        self._status = _STATUSES.SERVING if is_serving else _STATUSES.NOT_SERVING
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Return the status of a service."""
        if request.service not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return _STATUSES(status=self._status)

    async def Watch(self, request: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        """Send the status of a service, and again whenever it is another."""
        sent = None
        while True:
            changed = self._changed
            is_known = request.service in _SERVICES
            status = self._status if is_known else _STATUSES.SERVICE_UNKNOWN
            if status == sent:
                await changed.wait()
                continue
            sent = status
            await context.write(_STATUSES(status=status))
