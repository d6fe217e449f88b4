"""Ports on this machine, and whether a Kafka serves at them."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from platform_events.errors import LocalBrokerError
from platform_events.kafka.local.config import HOST

if TYPE_CHECKING:
    from contextlib import ExitStack

_FREE_PORTS = range(20_000, 32_000)
"""Below every system's ephemeral range: else a client that reconnects to a killed broker's port
may be given that very port for its own end, connect to itself, and keep the broker from it."""
_ATTEMPTS = 100
_METADATA_SECONDS = 1.0


def reserve_port(reserved: ExitStack, port: int | None = None) -> int:
    """Return `port`, or a free one, that nobody else gets until `reserved` is closed.

    Raises:
        LocalBrokerError: the port is in use or not allowed, or none is free.
    """
    reason = ""
    for candidate in random.sample(_FREE_PORTS, _ATTEMPTS) if port is None else [port]:
        listener = reserved.enter_context(socket.socket())
        # As Java does: connections of an earlier broker in TIME_WAIT are no obstacle.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen()
        except OSError as error:
            reason = str(error.strerror)
        else:
            return candidate
    if port is None:
        raise LocalBrokerError(f"there is no free port on {HOST}: {reason}")
    raise LocalBrokerError(
        f"port {port} on {HOST} cannot be used ({reason}): stop the program that has it, or choose "
        "another with --kafka-port"
    )


def accepts_connections(host: str, port: int) -> bool:
    """Whether a TCP connection to that address succeeds now."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


class BrokerProbe:
    """Asks a cluster, as any client does, which brokers it has."""

    def __init__(self, bootstrap_servers: str, cluster_id: str | None = None) -> None:
        """Ask at these addresses. With `cluster_id`, answers of other clusters do not count."""
        self._cluster_id = cluster_id
        self._client = AdminClient(
            {
                "bootstrap.servers": bootstrap_servers,
                "reconnect.backoff.max.ms": 200,
                "log_level": 0,
            }
        )

    def list_brokers(self) -> frozenset[int]:
        """Return the ids of the brokers that serve; none if no metadata comes within a second."""
        try:
            metadata = self._client.list_topics(timeout=_METADATA_SECONDS)
        except KafkaException:  # the caller asks again until its own deadline
            return frozenset()
        if self._cluster_id is not None and metadata.cluster_id != self._cluster_id:
            return frozenset()
        return frozenset(metadata.brokers)
