"""The tenants of a service, each made once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from platform_events.errors import ConfigurationError
from platform_events.service.tenants import Tenants


class Flaky:
    """A cluster that refuses a tenant once."""

    def __init__(self) -> None:
        self.asked = 0

    def bus(self, name: str) -> Any:
        self.asked += 1
        if self.asked == 1:
            raise ConfigurationError("no")
        return SimpleNamespace(settings=SimpleNamespace(tenant=name), catalog=None)


def test_one_that_could_not_be_made_is_tried_again() -> None:
    async def ask() -> None:
        cluster: Any = Flaky()
        tenants = Tenants(cluster)
        first = await asyncio.gather(
            *(tenants.named("shop") for _ in range(2)), return_exceptions=True
        )
        assert [type(one) for one in first] == [ConfigurationError] * 2
        made = await tenants.named("shop")
        assert made.name == "shop"
        assert await tenants.named("shop") is made
        assert cluster.asked == 2
        tenants.close()

    asyncio.run(ask())
