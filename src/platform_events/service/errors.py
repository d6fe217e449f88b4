"""How calls fail: the codes that clients branch on, and the gRPC status beside each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from grpc import StatusCode

from platform_events.errors import (
    BrokerError,
    ClosedError,
    PortableError,
    StreamDeletedError,
    StreamRecreatedError,
    UnknownSchemaError,
    UnknownStreamError,
    UsageError,
)
from platform_events.replay import ReplayError, ReplayExpiredError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.errors import PlatformEventsError

_PREFIX = "sfdc.platform.eventbus.grpc."
_LONGEST_TEXT = 1_000
"""Characters of a status message: clients limit headers to 8 KiB, and it is percent-encoded."""


@dataclass(frozen=True, slots=True)
class Code:
    """One way to fail."""

    name: str
    """As the trailer `error-code` has it, after the prefix."""
    status: StatusCode

    def __str__(self) -> str:
        return _PREFIX + self.name


HEADERS_INVALID = Code("service.auth.headers.invalid", StatusCode.UNAUTHENTICATED)
AUTH_ERROR = Code("service.auth.error", StatusCode.UNAUTHENTICATED)
UNAVAILABLE = Code("service.unavailable", StatusCode.UNAVAILABLE)
"""Not of a Subscribe: the Java sample goes on at LATEST after it, and loses events (tried)."""
INTERNAL = Code("service.internal.error", StatusCode.INTERNAL)

TOPIC_NOT_FOUND = Code("topic.not.found", StatusCode.NOT_FOUND)
TOPIC_EMPTY = Code("topic.validation.empty", StatusCode.INVALID_ARGUMENT)
TOPIC_UNAVAILABLE = Code("topic.api.unavailable", StatusCode.UNAVAILABLE)
SCHEMA_INVALID = Code("schema.validation.failed", StatusCode.INVALID_ARGUMENT)
SCHEMA_UNAVAILABLE = Code("schema.api.unavailable", StatusCode.UNAVAILABLE)

REPLAY_CORRUPTED = Code("subscription.fetch.replayid.corrupted", StatusCode.INVALID_ARGUMENT)
"""For every replay ID that is not empty and cannot be read on from: Camel knows no other."""
REPLAY_MISSING = Code("subscription.fetch.replayid.validation.failed", StatusCode.INVALID_ARGUMENT)
REQUESTED_INVALID = Code("subscription.fetch.requested.events.invalid", StatusCode.INVALID_ARGUMENT)
FETCH_TOPIC_MISMATCH = Code("subscription.fetch.topic.mismatch", StatusCode.INVALID_ARGUMENT)
FETCH_INVALID = Code("subscription.fetch.request.invalid", StatusCode.INVALID_ARGUMENT)
SUBSCRIPTION_INTERNAL = Code("subscription.internal.error", StatusCode.UNAVAILABLE)

PUBLISH_SWEPT = Code("publish.stream.sweeper.timeout", StatusCode.DEADLINE_EXCEEDED)
PUBLISH_COUNT_INVALID = Code("publish.event.count.invalid", StatusCode.INVALID_ARGUMENT)
PUBLISH_TOPIC_MISMATCH = Code("publish.topic.mismatch", StatusCode.INVALID_ARGUMENT)
PUBLISH_TOPIC_EMPTY = Code("publish.topic.validation.empty", StatusCode.INVALID_ARGUMENT)
CANNOT_PUBLISH = Code("publish.topic.cannot.publish", StatusCode.INVALID_ARGUMENT)


class CallError(PortableError):
    """A call fails for a reason that its caller is told.

    Args:
        code: which reason.
        message: what was wrong and what to do. It must say nothing that the caller may not know.
        trailers: what else is said; names as gRPC takes them, ASCII values.
    """

    def __init__(self, code: Code, message: str, trailers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.trailers = dict(trailers or {})

    def again(self) -> CallError:
        """Return the same for another call: each has a traceback of its own."""
        return CallError(self.code, str(self), self.trailers)

    def text(self, rpc_id: str) -> str:
        """Return the status message of the call with this ID."""
        return f"{str(self)[:_LONGEST_TEXT]} rpcId: {rpc_id}"


def topic_not_found(name: str) -> CallError:
    """Return how a topic is refused that does not exist, or that the caller may not see."""
    return CallError(
        TOPIC_NOT_FOUND,
        f"The topic {name[:100]!r} was not found. Ensure that the topic name is correct, begins "
        "with /event/, and that you have access to it.",
    )


def call_error(error: PlatformEventsError, unavailable: Code, topic: str = "") -> CallError:
    """Return how a call fails with an error of the bus.

    Args:
        error: what the bus raised.
        unavailable: what the call fails with when Kafka or this process is the reason.
        topic: the name that the caller gave.
    """
    if isinstance(error, ReplayError):
        trailers = {"pe-verdict": error.code}
        if isinstance(error, ReplayExpiredError):
            trailers["pe-earliest-replay-id"] = str(error.earliest)
            trailers["pe-events-lost"] = str(error.lost)
        return CallError(REPLAY_CORRUPTED, f"{error}.", trailers)
    if isinstance(error, StreamRecreatedError):
        return CallError(REPLAY_CORRUPTED, f"{error}.", {"pe-verdict": "RECREATED"})
    if isinstance(error, (UnknownStreamError, StreamDeletedError)):
        return topic_not_found(topic)
    if isinstance(error, UnknownSchemaError):
        return CallError(
            SCHEMA_INVALID,
            f"There is no schema with the ID {error.schema_id[:100]!r}. Take schema IDs from "
            "GetTopic and from events.",
        )
    if isinstance(error, (BrokerError, ClosedError)):
        return CallError(unavailable, "The service cannot reach its Kafka cluster. Try again.")
    if isinstance(error, UsageError):
        return CallError(FETCH_INVALID, f"{error}.")
    raise error
