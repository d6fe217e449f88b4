"""The image apache/kafka as the broker of a test run."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from platform_events.errors import LocalBrokerError
from platform_events.kafka.local.network import BrokerProbe, reserve_port
from platform_events.wording import missing_package

if TYPE_CHECKING:
    from platform_events.testing.proxy import BrokerProxy

IMAGE = "apache/kafka:4.2.0"
_START_SECONDS = 120.0
_POLL_SECONDS = 0.1
_CLIENT_PORT = 9092


class ContainerKafka:
    """One broker in a container, on a free port of this machine.

    Needs the package `testcontainers` and a Docker engine.
    """

    bootstrap_servers: str
    proxy: BrokerProxy | None = None

    def __init__(self, image: str = IMAGE) -> None:
        self._image = image
        self._container: Any = None

    def start(self) -> None:
        """Start the container and return when the broker serves clients.

        Raises:
            LocalBrokerError: testcontainers is not installed, there is no Docker engine, or the
                broker did not serve in time.
        """
        try:
            from testcontainers.core.container import DockerContainer
        except ImportError:
            raise LocalBrokerError(
                missing_package("a container as test broker", "testcontainers", "test")
            ) from None
        with ExitStack() as reserved:
            port = reserve_port(reserved)
        try:
            container = DockerContainer(self._image)
            host = container.get_docker_client().host()
            container.with_bind_ports(_CLIENT_PORT, port)
            for name, value in _environment(f"{host}:{port}").items():
                container.with_env(name, value)
            container.start()
        except Exception as error:  # docker's errors have no common root below Exception
            raise LocalBrokerError(f"the container {self._image} cannot be started: {error}") from (
                error
            )
        self._container = container
        self.bootstrap_servers = f"{host}:{port}"
        try:
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Remove the container. Does nothing when it is stopped."""
        if self._container is not None:
            self._container.stop()
            self._container = None

    def _await_ready(self) -> None:
        probe = BrokerProbe(self.bootstrap_servers)
        deadline = time.monotonic() + _START_SECONDS
        while not probe.list_brokers():
            if time.monotonic() > deadline:
                raise LocalBrokerError(
                    f"the container {self._image} did not serve at {self.bootstrap_servers} "
                    f"within {_START_SECONDS:.0f} s: see its log with docker logs"
                )
            time.sleep(_POLL_SECONDS)


def _environment(address: str) -> dict[str, str]:
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        # A broker asks itself about transactions, where the port of this machine leads nowhere.
        "KAFKA_LISTENERS": f"PLAINTEXT://:{_CLIENT_PORT},CONTROLLER://:9093,INSIDE://:9094",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{address},INSIDE://localhost:9094",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT"
        ),
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS": "1000",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
