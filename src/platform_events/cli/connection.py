"""Which cluster and tenant the commands talk to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from platform_events.bus.bus import EventBus
    from platform_events.settings import Settings


@dataclass(frozen=True, slots=True)
class Connection:
    """The program's own options; everything else is in the environment."""

    bootstrap_servers: str | None = None
    """`--bootstrap-servers`; None: the environment's."""
    tenant: str | None = None
    """`--tenant`; None: the environment's."""

    def settings(self, **overrides: Any) -> Settings:
        """Return the settings with these options and `overrides` on top.

        Raises:
            ConfigurationError: a setting is not allowed.
        """
        from platform_events.settings import Settings

        given = {"bootstrap_servers": self.bootstrap_servers, "tenant": self.tenant}
        options = {name: value for name, value in given.items() if value is not None}
        return Settings(**options, **overrides)

    def bus(self) -> EventBus:
        """Return a bus with these settings; raises as `settings` does."""
        from platform_events.bus.bus import EventBus

        return EventBus(self.settings())
