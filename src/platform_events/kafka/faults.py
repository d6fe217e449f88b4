"""What each Kafka error means: one table from its name to our error type.

A name that the table lacks is a `KafkaFaultError`; a test fails when the library gains one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaError

from platform_events.errors import (
    AuthenticationError,
    AuthorizationError,
    BrokerError,
    BrokerTimeoutError,
    BrokerUnreachableError,
    KafkaFaultError,
    RecordRejectedError,
)
from platform_events.settings import DEFAULT_BOOTSTRAP_SERVERS

if TYPE_CHECKING:
    from platform_events.kafka.connection import Health

_UNREACHABLE = "_ALL_BROKERS_DOWN _RESOLVE _TRANSPORT BROKER_NOT_AVAILABLE NETWORK_EXCEPTION"
_TIMEOUT = """
_MSG_TIMED_OUT _TIMED_OUT _TIMED_OUT_QUEUE REQUEST_TIMED_OUT _WAIT_CACHE _WAIT_COORD
COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE ELIGIBLE_LEADERS_NOT_AVAILABLE
LEADER_NOT_AVAILABLE NOT_CONTROLLER NOT_COORDINATOR NOT_ENOUGH_REPLICAS
NOT_ENOUGH_REPLICAS_AFTER_APPEND NOT_LEADER_FOR_PARTITION PREFERRED_LEADER_NOT_AVAILABLE
REPLICA_NOT_AVAILABLE KAFKA_STORAGE_ERROR OFFSET_NOT_AVAILABLE CONCURRENT_TRANSACTIONS
THROTTLING_QUOTA_EXCEEDED _ISR_INSUFF FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH
"""
_AUTHENTICATION = """
_AUTHENTICATION _SSL SASL_AUTHENTICATION_FAILED ILLEGAL_SASL_STATE UNSUPPORTED_SASL_MECHANISM
DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_EXPIRED DELEGATION_TOKEN_NOT_FOUND
DELEGATION_TOKEN_OWNER_MISMATCH DELEGATION_TOKEN_REQUEST_NOT_ALLOWED INVALID_PRINCIPAL_TYPE
PRINCIPAL_DESERIALIZATION_FAILURE UNACCEPTABLE_CREDENTIAL
"""
_AUTHORIZATION = """
CLUSTER_AUTHORIZATION_FAILED DELEGATION_TOKEN_AUTHORIZATION_FAILED GROUP_AUTHORIZATION_FAILED
TOPIC_AUTHORIZATION_FAILED TRANSACTIONAL_ID_AUTHORIZATION_FAILED SECURITY_DISABLED
"""
_REJECTED = """
INVALID_MSG_SIZE INVALID_RECORD INVALID_TIMESTAMP MSG_SIZE_TOO_LARGE POLICY_VIOLATION
RECORD_LIST_TOO_LARGE TOPIC_EXCEPTION UNSUPPORTED_COMPRESSION_TYPE UNSUPPORTED_FOR_MESSAGE_FORMAT
"""
_OTHER = """
_APPLICATION _ASSIGNMENT_LOST _ASSIGN_PARTITIONS _AUTO_OFFSET_RESET _BAD_COMPRESSION _BAD_MSG
_CONFLICT _CRIT_SYS_RESOURCE _DESTROY _DESTROY_BROKER _EXISTING_SUBSCRIPTION _FAIL _FATAL _FENCED
_FS _GAPLESS_GUARANTEE _INCONSISTENT _INTR _INVALID_ARG _INVALID_DIFFERENT_RECORD _INVALID_TYPE
_IN_PROGRESS _KEY_DESERIALIZATION _KEY_SERIALIZATION _LOG_TRUNCATION _MAX_POLL_EXCEEDED
_NODE_UPDATE _NOENT _NOOP _NOT_CONFIGURED _NOT_IMPLEMENTED _NO_OFFSET _OUTDATED _PARTIAL
_PARTITION_EOF _PREV_IN_PROGRESS _PURGE_INFLIGHT _PURGE_QUEUE _QUEUE_FULL _READ_ONLY _RETRY
_REVOKE_PARTITIONS _STATE _UNDERFLOW _UNKNOWN_BROKER _UNKNOWN_GROUP _UNKNOWN_PARTITION
_UNKNOWN_PROTOCOL _UNKNOWN_TOPIC _UNSUPPORTED_FEATURE _VALUE_DESERIALIZATION _VALUE_SERIALIZATION
DUPLICATE_RESOURCE DUPLICATE_SEQUENCE_NUMBER DUPLICATE_VOTER ELECTION_NOT_NEEDED
FEATURE_UPDATE_FAILED FENCED_INSTANCE_ID FENCED_MEMBER_EPOCH
FENCED_STATE_EPOCH FETCH_SESSION_ID_NOT_FOUND GROUP_ID_NOT_FOUND GROUP_MAX_SIZE_REACHED
GROUP_SUBSCRIBED_TO_TOPIC ILLEGAL_GENERATION INCONSISTENT_GROUP_PROTOCOL INCONSISTENT_TOPIC_ID
INCONSISTENT_VOTER_SET INVALID_COMMIT_OFFSET_SIZE INVALID_CONFIG INVALID_FETCH_SESSION_EPOCH
INVALID_GROUP_ID INVALID_MSG INVALID_PARTITIONS INVALID_PRODUCER_EPOCH
INVALID_PRODUCER_ID_MAPPING INVALID_RECORD_STATE INVALID_REGISTRATION INVALID_REGULAR_EXPRESSION
INVALID_REPLICATION_FACTOR INVALID_REPLICA_ASSIGNMENT INVALID_REQUEST INVALID_REQUIRED_ACKS
INVALID_SESSION_TIMEOUT INVALID_SHARE_SESSION_EPOCH INVALID_TRANSACTION_TIMEOUT INVALID_TXN_STATE
INVALID_UPDATE_VERSION INVALID_VOTER_KEY LISTENER_NOT_FOUND LOG_DIR_NOT_FOUND MEMBER_ID_REQUIRED
MISMATCHED_ENDPOINT_TYPE NON_EMPTY_GROUP NO_ERROR NO_REASSIGNMENT_IN_PROGRESS
OFFSET_METADATA_TOO_LARGE OFFSET_OUT_OF_RANGE OPERATION_NOT_ATTEMPTED
OUT_OF_ORDER_SEQUENCE_NUMBER PRODUCER_FENCED REASSIGNMENT_IN_PROGRESS REBALANCE_IN_PROGRESS
REBOOTSTRAP_REQUIRED RESOURCE_NOT_FOUND SHARE_SESSION_LIMIT_REACHED SHARE_SESSION_NOT_FOUND
STALE_BROKER_EPOCH STALE_CTRL_EPOCH STALE_MEMBER_EPOCH STREAMS_INVALID_TOPOLOGY
STREAMS_INVALID_TOPOLOGY_EPOCH STREAMS_TOPOLOGY_FENCED TELEMETRY_TOO_LARGE TOPIC_ALREADY_EXISTS
TOPIC_DELETION_DISABLED TRANSACTION_ABORTABLE TRANSACTION_COORDINATOR_FENCED UNKNOWN
UNKNOWN_CONTROLLER_ID UNKNOWN_MEMBER_ID UNKNOWN_PRODUCER_ID
UNKNOWN_SUBSCRIPTION_ID UNKNOWN_TOPIC_ID UNKNOWN_TOPIC_OR_PART UNRELEASED_INSTANCE_ID
UNSTABLE_OFFSET_COMMIT UNSUPPORTED_ASSIGNOR UNSUPPORTED_ENDPOINT_TYPE UNSUPPORTED_VERSION
VOTER_NOT_FOUND
"""

FAULTS: dict[str, type[BrokerError]] = {
    name: error_type
    for names, error_type in (
        (_UNREACHABLE, BrokerUnreachableError),
        (_TIMEOUT, BrokerTimeoutError),
        (_AUTHENTICATION, AuthenticationError),
        (_AUTHORIZATION, AuthorizationError),
        (_REJECTED, RecordRejectedError),
        (_OTHER, KafkaFaultError),
    )
    for name in names.split()
}
"""Kafka's name of an error to the type that we raise for it."""

_ADVICE: dict[type[BrokerError], str] = {
    BrokerTimeoutError: "the cluster did not answer in time; try again, then look at its health",
    AuthorizationError: "grant it in the cluster's ACLs, or check the tenant and the credentials",
    RecordRejectedError: "change the event or the topic's limits; again unchanged it fails again",
}


def kafka_error(exception: BaseException) -> KafkaError:
    """Return the error value that the exception carries."""
    error = exception.args[0]
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(error))


def is_rejection(error: KafkaError) -> bool:
    """Whether this is a broker's definite no to a record: it is not in the log."""
    return FAULTS.get(error.name()) in (RecordRejectedError, AuthorizationError)


def _describe_address(bootstrap_servers: str) -> str:
    """Return the address in words, saying where it came from."""
    if bootstrap_servers == DEFAULT_BOOTSTRAP_SERVERS:
        return f"{bootstrap_servers} (the default; PLATFORM_EVENTS_BOOTSTRAP_SERVERS sets another)"
    return bootstrap_servers


def unreachable(doing: str, health: Health, kafka_code: str = "") -> BrokerError:
    """Return the error for a cluster that accepts no connection, or refuses every one."""
    if health.refusal:
        return AuthenticationError(
            f"{doing}: the broker at {health.bootstrap_servers} refused the connection: "
            f"{health.refusal}; check security.protocol, the credentials and the certificates "
            "(PLATFORM_EVENTS_KAFKA__...)",
            kafka_code,
        )
    return BrokerUnreachableError(
        f"{doing}: no Kafka broker answers at {_describe_address(health.bootstrap_servers)}; "
        "check the address, or start one here with: platform-events up",
        kafka_code,
    )


def translate(error: KafkaError, doing: str, health: Health) -> BrokerError:
    """Return our error for Kafka's.

    Args:
        error: what Kafka reported.
        doing: the operation in words, such as `publishing to /event/Order_Placed__e`.
        health: of the client that reported it; a time-out is often an unreachable or refusing
            broker, and only the client's own log of errors knows.
    """
    error_type = FAULTS.get(error.name(), KafkaFaultError)
    if error_type is AuthenticationError:
        health.note(error)
    if error_type in (BrokerUnreachableError, AuthenticationError) or (
        error_type is BrokerTimeoutError and (health.refusal or health.brokers_down)
    ):
        return unreachable(doing, health, error.name())
    advice = f"; {_ADVICE[error_type]}" if error_type in _ADVICE else ""
    return error_type(f"{doing}: {error.str()} ({error.name()}){advice}", error.name())
