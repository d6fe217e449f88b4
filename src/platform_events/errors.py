"""The tree of the errors that this package raises.

```
PlatformEventsError
├── UsageError                   USAGE                 the call itself is wrong
├── ConfigurationError           CONFIGURATION         a setting is missing or malformed
├── DefinitionsError             INVALID_DEFINITIONS   all problems of the definition files
├── UnknownStreamError           UNKNOWN_STREAM        no such event or channel in this tenant
├── UnknownSchemaError           UNKNOWN_SCHEMA        no such schema ID in this tenant
├── ClosedError                  CLOSED                the bus or subscription was closed
├── ForkedError                  FORKED                the bus was used in another process
├── CatalogError
│   ├── PlanRefusedError         PLAN_REFUSED          a change that would break consumers or order
│   ├── ApplyConflictError       APPLY_CONFLICT        another apply took over
│   └── CatalogCorruptError      CATALOG_CORRUPT       a catalog record that cannot be read
├── PublishError                 (code of its cause)   raised by publish(); carries the result
├── PayloadError                 INVALID_PAYLOAD       a payload does not fit its event definition
├── EventTooLargeError           EVENT_TOO_LARGE
├── ReplayError                                    in replay.py: verdicts on replay IDs
│   ├── ReplayExpiredError       EXPIRED               the events after it were removed by retention
│   ├── ReplayRecreatedError     RECREATED             the stream was deleted and created again
│   ├── ReplayWrongStreamError   WRONG_STREAM          the ID belongs to another stream or cluster
│   ├── ReplayFutureError        FUTURE                the log is shorter than the position
│   └── ReplayCorruptedError     CORRUPTED             not a replay ID
├── StreamDeletedError           STREAM_DELETED        the topic vanished under a subscriber
├── StreamRecreatedError         STREAM_RECREATED      the topic was replaced under a subscriber
├── UndecodableRecordError       UNDECODABLE           one record cannot be decoded; next() goes on
├── BrokerError
│   ├── BrokerUnreachableError   BROKER_UNREACHABLE
│   ├── BrokerTimeoutError       BROKER_TIMEOUT
│   ├── AuthenticationError      AUTHENTICATION_FAILED
│   ├── AuthorizationError       NOT_AUTHORIZED
│   ├── RecordRejectedError      RECORD_REJECTED       the broker refused this record for good
│   ├── FencedError              FENCED                another process took over this writer's work
│   └── KafkaFaultError          KAFKA_ERROR           anything else that Kafka reports
├── UnknownSubscriptionError     UNKNOWN_SUBSCRIPTION  no such subscription in this tenant
├── SubscriptionConflictError    SUBSCRIPTION_CONFLICT the name is another stream's or order's
├── UnknownLetterError           UNKNOWN_DEAD_LETTER   no such dead letter of a subscription
├── WorkerStoppedError           WORKER_STOPPED        a worker ended by its own policy
├── LocalBrokerError             LOCAL_BROKER          the embedded Kafka cannot start or run
└── ServiceError                 SERVICE               a server of ours cannot start
```

`code` is stable and public; `retriable` says whether the same call may succeed later unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "ApplyConflictError",
    "AuthenticationError",
    "AuthorizationError",
    "BrokerError",
    "BrokerTimeoutError",
    "BrokerUnreachableError",
    "CatalogCorruptError",
    "CatalogError",
    "ClosedError",
    "ConfigurationError",
    "DefinitionsError",
    "EventTooLargeError",
    "FencedError",
    "ForkedError",
    "KafkaFaultError",
    "LocalBrokerError",
    "PayloadError",
    "PlanRefusedError",
    "PlatformEventsError",
    "Problem",
    "PublishError",
    "RecordRejectedError",
    "ServiceError",
    "StreamDeletedError",
    "StreamRecreatedError",
    "SubscriptionConflictError",
    "UndecodableRecordError",
    "UnknownLetterError",
    "UnknownSchemaError",
    "UnknownStreamError",
    "UnknownSubscriptionError",
    "UsageError",
    "WorkerStoppedError",
]


class PortableError(Exception):
    """An exception that pickle and copy take as it is, whatever its constructor asks for.

    Process pools, task queues and parallel test runs send exceptions to other processes.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[PortableError], args: tuple[Any, ...]) -> PortableError:
    return kind.__new__(kind, *args)


class PlatformEventsError(PortableError):
    """Root of the tree. `str(error)` is one line: what was wrong and what to do."""

    code: ClassVar[str] = "ERROR"
    retriable: ClassVar[bool] = False

    @property
    def line(self) -> str:
        """The code and the text, as the command prints and logs them."""
        return f"{self.code}: {self}"


class UsageError(PlatformEventsError):
    """The call itself is wrong: a bad argument, not bad data."""

    code = "USAGE"


class ConfigurationError(PlatformEventsError):
    """A setting is missing, malformed, or contradicts what the bus guarantees."""

    code = "CONFIGURATION"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one place of a definition file."""

    file: str
    """Path of the file as the user named it."""
    message: str
    """What is wrong and what would be right."""
    line: int | None = None
    """1-based; None when the problem is the file as a whole."""
    column: int | None = None
    """1-based."""
    path: str = ""
    """Where in the document, such as `fields[2].type`."""
    excerpt: str = ""
    """The line and below it a caret that marks the place, two lines; empty if there is none."""

    def __str__(self) -> str:
        place = self.file
        if self.line is not None:
            place += f":{self.line}"
            if self.column is not None:
                place += f":{self.column}"
        return f"{place}: {self.path + ': ' if self.path else ''}{self.message}"


class DefinitionsError(PlatformEventsError):
    """Definition files are wrong. `problems` has every one of them, in file and line order."""

    code = "INVALID_DEFINITIONS"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")


class UnknownStreamError(PlatformEventsError):
    """No event or channel of that name is active in this tenant."""

    code = "UNKNOWN_STREAM"

    def __init__(self, stream: str, message: str) -> None:
        self.stream = stream
        super().__init__(message)


class UnknownSchemaError(PlatformEventsError):
    """No schema with that ID was ever applied in this tenant."""

    code = "UNKNOWN_SCHEMA"

    def __init__(self, schema_id: str, message: str) -> None:
        self.schema_id = schema_id
        super().__init__(message)


class ClosedError(PlatformEventsError):
    """The bus or subscription was closed before this call."""

    code = "CLOSED"


class ForkedError(PlatformEventsError):
    """The bus was used in a parent process; Kafka clients do not survive a fork."""

    code = "FORKED"


class CatalogError(PlatformEventsError):
    """The catalog of definitions cannot be changed or read as asked."""


class PlanRefusedError(CatalogError):
    """At least one change is refused, so nothing was applied. `refusals` names each."""

    code = "PLAN_REFUSED"

    def __init__(self, refusals: Sequence[str]) -> None:
        self.refusals = tuple(refusals)
        more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
        super().__init__(f"{refusals[0]}{more}; nothing was applied")


class ApplyConflictError(CatalogError):
    """Another apply for the same tenant took over. The catalog is consistent; apply again."""

    code = "APPLY_CONFLICT"
    retriable = True


class CatalogCorruptError(CatalogError):
    """A catalog record cannot be read: written by other software or by a newer version."""

    code = "CATALOG_CORRUPT"


class PayloadError(PlatformEventsError):
    """A payload does not fit its event definition. `path` names the field."""

    code = "INVALID_PAYLOAD"

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        super().__init__(f"{path}: {message}" if path else message)


class EventTooLargeError(PlatformEventsError):
    """An event exceeds the size limit and was not sent."""

    code = "EVENT_TOO_LARGE"

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        """Bytes of payload, key and headers."""
        self.limit = limit
        """Bytes allowed."""
        super().__init__(
            f"the event has {size:,} bytes (payload, key and headers), the limit is {limit:,}; "
            "publish a reference to the data instead"
        )


class PublishError(PlatformEventsError):
    """`publish()` could not persist the event. `result` says whether it may be in the log."""

    def __init__(self, message: str, result: Any) -> None:
        self.result = result
        """The `PublishResult`, with `status` NOT_PERSISTED or UNKNOWN and the typed `error`."""
        super().__init__(message)

    @property
    def code(self) -> str:  # type: ignore[override]
        """The code of the error that caused it."""
        return str(self.result.error.code)

    @property
    def retriable(self) -> bool:  # type: ignore[override]
        """Whether the error that caused it may pass."""
        return bool(self.result.error.retriable)


class StreamDeletedError(PlatformEventsError):
    """The stream's topic was deleted while it was being read."""

    code = "STREAM_DELETED"

    def __init__(self, stream: str, message: str) -> None:
        self.stream = stream
        super().__init__(message)


class StreamRecreatedError(PlatformEventsError):
    """The stream's topic was deleted and created again while it was being read."""

    code = "STREAM_RECREATED"

    def __init__(self, stream: str, message: str) -> None:
        self.stream = stream
        super().__init__(message)


class UndecodableRecordError(PlatformEventsError):
    """One record cannot be decoded. The subscription stays usable and goes on after it."""

    code = "UNDECODABLE"

    def __init__(self, stream: str, partition: int, offset: int, reason: str) -> None:
        self.stream = stream
        self.partition = partition
        self.offset = offset
        self.reason = reason
        super().__init__(
            f"{stream}: the record at partition {partition}, offset {offset} cannot be decoded: "
            f"{reason}; the next event comes after it"
        )


class UnknownSubscriptionError(PlatformEventsError):
    """The tenant has no such subscription, or its stream is gone. `subscription` is its name."""

    code = "UNKNOWN_SUBSCRIPTION"

    def __init__(self, subscription: str, message: str) -> None:
        super().__init__(message)
        self.subscription = subscription


class SubscriptionConflictError(PlatformEventsError):
    """The name belongs to a subscription of another stream, order or kind."""

    code = "SUBSCRIPTION_CONFLICT"

    def __init__(self, subscription: str, message: str) -> None:
        super().__init__(message)
        self.subscription = subscription


class UnknownLetterError(PlatformEventsError):
    """A subscription has no such dead letter. `letter` is the ID that was asked for."""

    code = "UNKNOWN_DEAD_LETTER"

    def __init__(self, letter: str, message: str) -> None:
        super().__init__(message)
        self.letter = letter


class WorkerStoppedError(PlatformEventsError):
    """A worker ended because its policy says so, or because its subscription was deleted."""

    code = "WORKER_STOPPED"


class BrokerError(PlatformEventsError):
    """Kafka reported a failure. `kafka_code` is its name for it, such as `_TRANSPORT`."""

    def __init__(self, message: str, kafka_code: str = "") -> None:
        self.kafka_code = kafka_code
        super().__init__(message)


class BrokerUnreachableError(BrokerError):
    """No broker answers at the configured address."""

    code = "BROKER_UNREACHABLE"
    retriable = True


class BrokerTimeoutError(BrokerError):
    """A broker did not answer in time."""

    code = "BROKER_TIMEOUT"
    retriable = True


class AuthenticationError(BrokerError):
    """The broker refused the credentials or the TLS handshake."""

    code = "AUTHENTICATION_FAILED"


class AuthorizationError(BrokerError):
    """The broker's ACLs do not allow this operation."""

    code = "NOT_AUTHORIZED"


class RecordRejectedError(BrokerError):
    """The broker refused this record for good; sending it again unchanged is pointless."""

    code = "RECORD_REJECTED"


class FencedError(BrokerError):
    """Another process took over what this one wrote; whatever it had begun is undone."""

    code = "FENCED"


class KafkaFaultError(BrokerError):
    """Any other failure that Kafka reports."""

    code = "KAFKA_ERROR"


class LocalBrokerError(PlatformEventsError):
    """The embedded Kafka cannot be downloaded, started or kept running."""

    code = "LOCAL_BROKER"


class ServiceError(PlatformEventsError):
    """A server of this process cannot start: for its port, its certificate or a missing package."""

    code = "SERVICE"
