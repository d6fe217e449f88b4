"""One broker for all processes of a test run."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Protocol, cast

from platform_events.errors import ConfigurationError
from platform_events.testing import BrokerAccess, KafkaBroker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from platform_events.testing.desk import BrokerDesk
    from platform_events.testing.proxy import BrokerProxy, Cut

BROKER_VARIABLE = "PLATFORM_EVENTS_TEST_BROKER"


class Broker(Protocol):
    """What runs a broker: `ProxiedKafka` or `ContainerKafka`."""

    bootstrap_servers: str
    proxy: BrokerProxy | None
    """Before the broker, when it runs; None if there is none."""

    def start(self) -> None:
        """Start it and return when it serves clients."""

    def stop(self) -> None:
        """Stop it and remove what it stored."""


def make_broker() -> Broker:
    """Return the broker that the environment asks for, not started.

    Raises:
        ConfigurationError: PLATFORM_EVENTS_TEST_BROKER is neither `local` nor `container`.
    """
    kind = os.environ.get(BROKER_VARIABLE) or "local"
    if kind == "local":
        from platform_events.testing.embedded import ProxiedKafka

        return ProxiedKafka()
    if kind == "container":
        from platform_events.testing.container import ContainerKafka

        return ContainerKafka()
    raise ConfigurationError(f"{BROKER_VARIABLE}={kind!r}: use local or container")


class RunBroker:
    """The broker of a test run, kept by the process that lives as long as the run.

    Under pytest-xdist that is the controller: workers crash, are replaced, and begin and end when
    they like. They ask it for the broker, which starts with the first question.
    """

    def __init__(self, make: Callable[[], Broker] = make_broker) -> None:
        self._make = make
        self._broker: Broker | None = None
        self._starting = threading.Lock()
        self._desk: BrokerDesk | None = None

    def get(self) -> KafkaBroker:
        """Return the broker, which is started if need be.

        Raises:
            PlatformEventsError: it cannot be started.
        """
        broker = self._started()
        access = BrokerAccess(broker.proxy.address, self.invitation()) if broker.proxy else None
        return KafkaBroker(broker.bootstrap_servers, access)

    def invitation(self) -> tuple[str, ...]:
        """Return what another process needs for `ask_for_broker`."""
        if self._desk is None:
            from platform_events.testing.desk import BrokerDesk  # not in every test run

            self._desk = BrokerDesk(self._answer)
        return self._desk.invitation

    def stop(self) -> None:
        """Stop the broker, if anybody asked for it."""
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        if self._broker is not None:
            self._broker.stop()
            self._broker = None

    def _started(self) -> Broker:
        with self._starting:
            if self._broker is None:
                broker = self._make()
                broker.start()
                self._broker = broker
            return self._broker

    def _answer(self, question: str, arguments: Sequence[str]) -> Any:
        """Return what another process asks for, in a thread of the desk's."""
        broker = self._started()
        if question == "broker":
            return broker.bootstrap_servers, broker.proxy and broker.proxy.address
        assert broker.proxy is not None, "who asks was told of none"
        client_id, *how = arguments
        if question == "cut":
            broker.proxy.cut(client_id, cast("Cut", how[0]))
        else:
            broker.proxy.mend(client_id)
        return None
