"""Why a group's client has failed for good, and what its process does then; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from platform_events.errors import ConfigurationError, KafkaFaultError

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.errors import BrokerError, PlatformEventsError

_RENEW_AFTER = 1.0
"""Seconds after which a client that failed is replaced."""
_CODES = (
    KafkaError.UNRELEASED_INSTANCE_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_MAX_SIZE_REACHED,
    KafkaError.UNSUPPORTED_VERSION,
    KafkaError._UNSUPPORTED_FEATURE,
)
"""Why a client may fail for good. It tells only the text."""
_NO_PROTOCOL = (KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE)


@dataclass(frozen=True, slots=True)
class MemberFailure:
    """A client that takes no part in its group any more."""

    cause: BrokerError
    """Why the group does not take this process."""
    refusal: PlatformEventsError | None
    """What the user has to know; None if it may pass."""
    renew_after: float = _RENEW_AFTER
    """Seconds until another client may try; infinite if none should."""
    lacks_protocol: bool = False
    """Whether the brokers do not have the group's protocol."""


def judge(
    error: KafkaError,
    doing: str,
    instance_id: str | None,
    explain: Callable[[KafkaError], BrokerError],
) -> MemberFailure:
    """Return what the failure of a client means.

    Args:
        error: as the client tells it, with the code `_FATAL`.
        doing: what the process does, for messages.
        instance_id: the member's, if it has one.
        explain: returns our error for Kafka's.
    """
    code = next((one for one in _CODES if KafkaError(one).str() in error.str()), error.code())
    cause = explain(KafkaError(code))
    if code in _NO_PROTOCOL:
        refusal = ConfigurationError(
            f"{doing}: its brokers do not have the group protocol consumer (KIP-848): "
            "use classic, or Kafka 4.0 or later where it is not switched off"
        )
        return MemberFailure(cause, refusal, lacks_protocol=True)
    if code == KafkaError.FENCED_INSTANCE_ID:
        # Who has the place now would lose it again.
        refusal = ConfigurationError(
            f"{doing}: another process has the instance ID {instance_id} too; give each its own"
        )
        return MemberFailure(cause, refusal, math.inf)
    if code == KafkaError.UNRELEASED_INSTANCE_ID:
        cause = KafkaFaultError(
            f"{doing}: a process with the instance ID {instance_id} is, or was until a moment "
            "ago, a member; give each process its own",
            KafkaError(code).name(),
        )
        return MemberFailure(cause, None)
    return MemberFailure(cause, cause)
