"""Which of Kafka's two protocols a group takes: how its members agree on who has what."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from platform_events.errors import AuthenticationError, BrokerError
from platform_events.kafka.groups import HEARTBEAT_MS, SESSION_MS

if TYPE_CHECKING:
    from platform_events.kafka.admin import Admin
    from platform_events.kafka.groups import Protocol

_CONFIG = {
    "consumer.session.timeout.ms": str(SESSION_MS),
    "consumer.heartbeat.interval.ms": str(HEARTBEAT_MS),
}
_logger = logging.getLogger("platform_events")


def choose_protocol(
    admin: Admin, group: str, wanted: Literal["auto", "consumer", "classic"]
) -> Protocol:
    """Return the protocol for a group, and set the group's session for the newer one.

    Under the newer one nobody stands still while members come and go; but a broker sets it to
    notice a dead member after 45 s, and allows a group less only where it is told to. So `auto`
    takes it where the group can have the session that members of the older one ask for.

    Args:
        admin: of the cluster.
        group: whose protocol; its config is altered.
        wanted: `auto`, or a protocol whatever its session.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    if wanted == "classic":
        return "classic"
    try:
        admin.configure_group(group, _CONFIG)
    except BrokerError as error:
        if error.retriable or isinstance(error, AuthenticationError):
            raise
        if wanted == "auto":
            _logger.info("group %s takes the classic protocol: %s", group, error)
            return "classic"
        _logger.warning(
            "group %s keeps the session of its brokers, so a member that dies may be noticed after "
            "45 s only: %s",
            group, error,
        )  # fmt: skip
    return "consumer"
