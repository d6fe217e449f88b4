"""Whether a service does its work: asked of Kafka, told to probes and to gRPC's health checks."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from platform_events.errors import PlatformEventsError

if TYPE_CHECKING:
    from platform_events.process_health import ProcessHealth
    from platform_events.service.health import HealthChecks
    from platform_events.service.tenants import Tenants

_LOOK_EVERY = 5.0
"""Seconds between two looks at whether Kafka answers."""
_LOOK_AGAIN = 1.0
"""The same while it does not."""
_BEAT_EVERY = 1.0
_logger = logging.getLogger("platform_events")


class Readiness:
    """Looks at the cluster again and again. For the event loop.

    Args:
        tenants: are asked.
        tenant: the one whose catalog is looked at.
        checks: gRPC's.
    """

    def __init__(self, tenants: Tenants, tenant: str, checks: HealthChecks) -> None:
        self._tenants = tenants
        self._tenant = tenant
        self._checks = checks

    async def watch(self, health: ProcessHealth) -> None:
        """Say to `health` what is in the way, and log it, until cancelled.

        Raises:
            ConfigurationError: a property of the user's is not accepted.
            AuthenticationError, AuthorizationError: the cluster has refused for 30 s.
        """
        tenant = await self._tenants.named(self._tenant)
        while True:
            failure: PlatformEventsError | None = None
            try:
                await tenant.run(tenant.catalog.refresh)
            except PlatformEventsError as error:
                failure = error
            obstacle = failure.line if failure else ""
            if obstacle != health.obstacle:
                health.obstacle = obstacle
                self._checks.tell(is_serving=not obstacle)
                if failure:
                    _logger.warning("not ready: %s", obstacle)
                else:
                    _logger.info("ready")
            health.raise_if_refused(failure)
            await asyncio.sleep(_LOOK_AGAIN if failure else _LOOK_EVERY)


async def beat(health: ProcessHealth) -> None:
    """Note again and again that the loop comes round, until cancelled."""
    while True:
        health.beat()
        await asyncio.sleep(_BEAT_EVERY)
