"""How the members of a group agree on who has what, and how soon a dead one is noticed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, TypeAlias

from platform_events.errors import AuthenticationError, BrokerError
from platform_events.kafka.groups import SESSION_MS

if TYPE_CHECKING:
    from platform_events.kafka.admin import Admin

Protocol: TypeAlias = Literal["auto", "consumer", "classic"]
"""How a group agrees on who has what. `consumer` is KIP-848: each partition moves by itself. In
`classic` all members stand still until a change is over. `auto` is the former where there is it."""
_SESSION = "consumer.session.timeout.ms"
_logger = logging.getLogger("platform_events")


def choose_protocol(admin: Admin, group: str, wanted: Protocol) -> Protocol:
    """Return the protocol that members of a group use, and have a dead one noticed soon.

    In the newer protocol the cluster says when a silent member is dead, after 45 s by default. So
    `auto` takes it only where the group may have a time of its own.

    Args:
        admin: of the cluster.
        group: whose members it is for.
        wanted: by the user.

    Raises:
        BrokerError: the cluster does not answer.
    """
    if wanted == "classic":
        return wanted
    try:
        admin.configure_group(group, {_SESSION: str(SESSION_MS)})
    except BrokerError as error:
        if error.retriable or isinstance(error, AuthenticationError):
            raise
        if wanted == "auto":
            _logger.info("group %s uses the classic protocol: %s", group, error)
            return "classic"
        _logger.warning("a member of group %s that is killed is noticed late: %s", group, error)
    return wanted
