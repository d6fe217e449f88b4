"""One broker for all processes of a test run."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol

from platform_events.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.testing.desk import BrokerDesk

BROKER_VARIABLE = "PLATFORM_EVENTS_TEST_BROKER"


class Broker(Protocol):
    """What runs a broker: `LocalKafka` or `ContainerKafka`."""

    bootstrap_servers: str

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
        from platform_events.kafka.local import LocalKafka

        return LocalKafka()
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

    def address(self) -> str:
        """Return the broker's address; the broker is started if need be.

        Raises:
            PlatformEventsError: it cannot be started.
        """
        with self._starting:
            if self._broker is None:
                broker = self._make()
                broker.start()
                self._broker = broker
            return self._broker.bootstrap_servers

    def invitation(self) -> list[str]:
        """Return what another process needs for `ask_for_broker`."""
        if self._desk is None:
            from platform_events.testing.desk import BrokerDesk  # not in every test run

            self._desk = BrokerDesk(self.address)
        return self._desk.invitation

    def stop(self) -> None:
        """Stop the broker, if anybody asked for it."""
        if self._desk is not None:
            self._desk.close()
            self._desk = None
        if self._broker is not None:
            self._broker.stop()
            self._broker = None
