"""The embedded Kafka as the broker of a test run, with a proxy before one of its listeners."""

from __future__ import annotations

from platform_events.kafka.local import LocalKafka
from platform_events.testing.proxy import BrokerProxy


class ProxiedKafka:
    """An embedded broker that clients reach directly, or through `proxy`."""

    bootstrap_servers: str
    proxy: BrokerProxy | None = None

    def __init__(self) -> None:
        self._kafka: LocalKafka | None = None

    def start(self) -> None:
        """Start both and return when the broker serves clients.

        Raises:
            LocalBrokerError: the broker cannot be started.
        """
        self.proxy = BrokerProxy()
        kafka = LocalKafka(proxy_port=self.proxy.port)
        try:
            kafka.start()
        except BaseException:
            self.stop()
            raise
        self._kafka = kafka
        self.bootstrap_servers = kafka.bootstrap_servers
        assert kafka.proxied_server is not None
        self.proxy.upstream = kafka.proxied_server

    def stop(self) -> None:
        """End both. Does nothing when they are stopped."""
        if self.proxy is not None:
            self.proxy.close()
            self.proxy = None
        if self._kafka is not None:
            self._kafka.stop()
            self._kafka = None
