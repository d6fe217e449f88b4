"""The embedded Kafka cluster: its life from free ports to removed data."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from platform_events.errors import LocalBrokerError, UsageError
from platform_events.kafka.local.artifacts import find_runtime
from platform_events.kafka.local.config import HOST, NodePorts, build_properties
from platform_events.kafka.local.network import BrokerProbe, accepts_connections, reserve_port
from platform_events.kafka.local.node import Node
from platform_events.kafka.local.storage import DataDirectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from platform_events.kafka.local.artifacts import Progress, Runtime

START_SECONDS = 60.0
"""How long a cluster may take from its processes' start until it serves clients."""
_POLL_SECONDS = 0.03
_PORT_ATTEMPTS = 3


class LocalKafka:
    """A real Apache Kafka on the loopback interface, from jars and a Java runtime of our own.

    ```python
    with LocalKafka() as kafka:
        EventBus(bootstrap_servers=kafka.bootstrap_servers)
    ```

    The brokers end with the process that started them, however it ends. After `start()`:

    - `bootstrap_servers`: `host:port` of every broker, comma-separated.
    - `sasl_bootstrap_servers`: the same for the listeners that ask for a password; None without
      `users`.
    - `proxied_server`: host and port at which a proxy finds the broker; None without `proxy_port`.
    - `data_dir`, `cluster_id`, `log_files` (one per broker).
    - `pids`: broker number to Java's process id, of the brokers that run.

    Not thread-safe. It belongs to the process that started it: in a forked child `stop()` does
    nothing.
    """

    bootstrap_servers: str
    sasl_bootstrap_servers: str | None
    proxied_server: tuple[str, int] | None
    data_dir: Path
    cluster_id: str

    def __init__(
        self,
        *,
        brokers: int = 1,
        data_dir: Path | None = None,
        port: int | None = None,
        kafka_home: Path | None = None,
        users: Mapping[str, str] | None = None,
        proxy_port: int | None = None,
        properties: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Describe a cluster; `start()` or `with` starts it.

        Args:
            brokers: 1 or 3. Each is broker and controller.
            data_dir: keeps the data between runs, in which ports may differ. None: a temporary
                directory, removed by `stop()`.
            port: of the first broker; a second and third get the next two. None: free ports.
            kafka_home: an unpacked Apache Kafka to run instead of the downloaded one.
            users: name to password. When given, there is a second listener with SASL/PLAIN, at
                `sasl_bootstrap_servers`, whose users may do only what ACLs allow. Clients of
                `bootstrap_servers` may do everything, such as creating these ACLs.
            proxy_port: where a proxy of the caller's listens on 127.0.0.1, before a listener of the
                only broker. Clients that reach the broker there stay with the proxy.
            properties: broker settings that win over this class's own.
            progress: called during the first download with the bytes done and the bytes to do,
                from one thread at a time.

        Raises:
            UsageError: another number of brokers, no such port, or a proxy for three brokers.
        """
        if brokers not in (1, 3):
            raise UsageError(f"brokers must be 1 or 3, not {brokers}")
        if port is not None and not 1 <= port <= 65_536 - brokers:
            raise UsageError(f"port must be between 1 and {65_536 - brokers}, not {port}")
        if proxy_port is not None and brokers != 1:
            raise UsageError("a proxy goes with one broker, not with three")
        self._brokers = brokers
        self._wanted_dir = data_dir
        self._wanted_port = port
        self._kafka_home = kafka_home
        self._users = dict(users or {})
        self._proxy_port = proxy_port
        self._properties = dict(properties or {})
        self._progress = progress
        self._owner = os.getpid()
        self._directory: DataDirectory | None = None
        self._nodes: dict[int, Node] = {}
        self._ports: list[NodePorts] = []
        self._keeps_logs = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log_files(self) -> tuple[Path, ...]:
        """The brokers' logs, by broker number."""
        return tuple(node.files.log for node in self._nodes.values())

    @property
    def pids(self) -> dict[int, int]:
        """Broker number to Java's process id, of the brokers that run or are paused."""
        pids = {number: node.pid for number, node in self._nodes.items()}
        return {number: pid for number, pid in pids.items() if pid is not None}

    def start(self) -> None:
        """Start the cluster and return when every broker serves clients.

        Raises:
            UsageError: it runs already.
            LocalBrokerError: it cannot run here, its jars cannot be had, its port or data directory
                is in use, or a broker ended early or did not serve in time; names the log.
        """
        if self._directory is not None:
            raise UsageError("this LocalKafka was started already")
        if sys.platform == "win32":
            raise LocalBrokerError(
                "the embedded Kafka does not run on native Windows: run it inside WSL 2, or set "
                "PLATFORM_EVENTS_BOOTSTRAP_SERVERS to a Kafka that runs elsewhere"
            )
        self._owner = os.getpid()
        runtime = find_runtime(self._kafka_home, self._progress)
        self._directory = DataDirectory(self._wanted_dir, self._brokers)
        try:
            self.data_dir, self.cluster_id = self._directory.path, self._directory.cluster_id
            self._nodes = {
                number: Node(
                    self._directory.files(number),
                    runtime,
                    throw_away=self._directory.is_temporary,
                )
                for number in range(1, self._brokers + 1)
            }
            self._start_nodes(runtime)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every broker and remove a temporary data directory. Does nothing when stopped.

        The log that an error named stays.
        """
        if self._directory is None or os.getpid() != self._owner:
            return
        self._stop_nodes()
        self._directory.close(keep_logs=self._keeps_logs)
        self._directory = None

    def check(self) -> None:
        """See whether the cluster still runs.

        Raises:
            LocalBrokerError: a broker ended that was neither stopped nor killed through this
                object; names its log and quotes it.
        """
        for node in self._nodes.values():
            if not node.expected_down and not node.is_running():
                self._keeps_logs = True
                raise LocalBrokerError(
                    f"broker {node.number} of the embedded Kafka ended by itself: "
                    f"{node.describe_failure()}"
                )

    def kill(self, node: int = 1) -> None:
        """Send SIGKILL to a broker's Java process and return when it is gone.

        Raises:
            UsageError: that broker does not run.
        """
        self._node(node).kill()

    def pause(self, node: int = 1) -> None:
        """Send SIGSTOP to a broker: connections stay open, nothing is answered.

        Raises:
            UsageError: that broker does not run.
        """
        self._node(node).pause()

    def resume(self, node: int = 1) -> None:
        """Send SIGCONT to a paused broker.

        Raises:
            UsageError: that broker does not run.
        """
        self._node(node).resume()

    def restart(self, node: int = 1) -> None:
        """Start a broker again on its port and data, after stopping it if it still runs.

        Returns when it serves clients.

        Raises:
            UsageError: the cluster was not started.
            LocalBrokerError: it ended early or did not serve in time; names the log.
        """
        broker = self._node(node)
        broker.request_stop(last=False)
        broker.await_stop()
        self._launch([broker])
        self._keeps_logs = False

    def _node(self, number: int) -> Node:
        if self._directory is None or number not in self._nodes:
            raise UsageError(f"this LocalKafka has no started broker {number}")
        return self._nodes[number]

    def _start_nodes(self, runtime: Runtime) -> None:
        assert self._directory is not None
        for attempt in range(_PORT_ATTEMPTS):
            self._keeps_logs = False
            self._ports = self._choose_ports()
            for number, node in self._nodes.items():
                log_dir = node.files.data.relative_to(self.data_dir).as_posix()
                self._directory.prepare(
                    number,
                    runtime,
                    build_properties(number, self._ports, log_dir, self._users, self._properties),
                )
            try:
                self._launch(list(self._nodes.values()))
            except LocalBrokerError as error:
                # Another process may have been faster since the port was seen to be free.
                is_last = self._wanted_port is not None or attempt == _PORT_ATTEMPTS - 1
                if is_last or "Address already in use" not in str(error):
                    raise
                self._stop_nodes()
            else:
                break
        self.bootstrap_servers = _join(ports.client for ports in self._ports)
        self.sasl_bootstrap_servers = (
            _join(ports.sasl for ports in self._ports if ports.sasl) if self._users else None
        )
        proxied = self._ports[0].proxied
        self.proxied_server = None if proxied is None else (HOST, proxied)

    def _choose_ports(self) -> list[NodePorts]:
        with ExitStack() as reserved:
            clients = [
                reserve_port(
                    reserved, None if self._wanted_port is None else self._wanted_port + at
                )
                for at in range(self._brokers)
            ]
            return [
                NodePorts(
                    client=client,
                    controller=reserve_port(reserved),
                    sasl=reserve_port(reserved) if self._users else None,
                    proxied=None if self._proxy_port is None else reserve_port(reserved),
                    proxy=self._proxy_port,
                )
                for client in clients
            ]

    def _launch(self, nodes: Sequence[Node]) -> None:
        """Start `nodes` and return when they are registered and serve."""
        assert self._directory is not None
        try:
            for node in nodes:
                node.start(self._directory.lock_descriptor)
        except OSError as error:
            raise LocalBrokerError(f"the embedded Kafka cannot be started: {error}") from None
        deadline = time.monotonic() + START_SECONDS
        ports = [self._ports[node.number - 1].client for node in nodes]
        for port in ports:
            while not accepts_connections(HOST, port):
                self._await_progress(nodes, deadline)
        # Whoever else may have taken a port must not be taken for this cluster.
        probe = BrokerProbe(_join(ports), self.cluster_id)
        expected = {node.number for node in nodes}
        while not expected <= probe.list_brokers():
            self._await_progress(nodes, deadline)

    def _await_progress(self, nodes: Sequence[Node], deadline: float) -> None:
        self.check()
        if time.monotonic() > deadline:
            self._keeps_logs = True
            raise LocalBrokerError(
                f"the embedded Kafka did not serve within {START_SECONDS:.0f} s: "
                f"{nodes[0].describe_failure()}"
            )
        time.sleep(_POLL_SECONDS)

    def _stop_nodes(self) -> None:
        for node in self._nodes.values():
            node.request_stop(last=True)
        for node in self._nodes.values():
            node.await_stop()


def _join(ports: Iterable[int]) -> str:
    return ",".join(f"{HOST}:{port}" for port in ports)
