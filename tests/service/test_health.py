"""gRPC's health checks, told and asked in one loop."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from grpc_health.v1 import health_pb2

from platform_events.service.health import HealthChecks
from platform_events.service.messages import SERVICE

STATUS = health_pb2.HealthCheckResponse


class Context:
    """Of a client that reads when it is told to."""

    def __init__(self, *, reads: bool = True) -> None:
        self.sent: list[int] = []
        self.is_read = asyncio.Event()
        if reads:
            self.is_read.set()

    async def write(self, response: Any) -> None:
        self.sent.append(response.status)
        await self.is_read.wait()


def test_who_watches_is_told_changes_and_who_does_not_read_holds_nobody_up() -> None:
    async def watch() -> None:
        checks = HealthChecks()
        deaf, good, unknown = Context(reads=False), Context(), Context()
        watching = [
            asyncio.create_task(checks.Watch(SimpleNamespace(service=name), context))
            for name, context in ((SERVICE, deaf), ("", good), ("no.such", unknown))
        ]
        for is_serving in (True, True, False):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            checks.tell(is_serving=is_serving)
        deaf.is_read.set()
        for _ in range(5):
            await asyncio.sleep(0)
        assert good.sent == [STATUS.NOT_SERVING, STATUS.SERVING, STATUS.NOT_SERVING]
        assert deaf.sent == [STATUS.NOT_SERVING]
        assert unknown.sent == [STATUS.SERVICE_UNKNOWN]
        for task in watching:
            task.cancel()

    asyncio.run(watch())
