"""Asking a cluster, whatever becomes of its brokers and of the client that asks."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import wait
from typing import TYPE_CHECKING, Self, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from platform_events.errors import BrokerError, BrokerTimeoutError, ClosedError
from platform_events.kafka.connection import make_client
from platform_events.kafka.faults import kafka_error
from platform_events.kafka.forks import protect
from platform_events.kafka.health import Health, translate, unreachable
from platform_events.metrics.meters import METERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from platform_events.settings import Settings

_logger = logging.getLogger("platform_events")
_Result = TypeVar("_Result")
POLL_INTERVAL = 0.1
"""Seconds between two looks."""
_UNREACHABLE_AFTER = 2.0
"""Seconds of no broker accepting a connection after which waiting on is pointless."""
_LOOK_AGAIN_AFTER = 1.0
"""Seconds without an answer after which the client may be waiting for what it could ask for."""
_GRACE = 5.0
"""Seconds beyond the request time-out after which the client itself is not trusted any more."""
_MOVING = (
    "COORDINATOR_LOAD_IN_PROGRESS",
    "COORDINATOR_NOT_AVAILABLE",
    "NOT_COORDINATOR",
    "FENCED_LEADER_EPOCH",
    "LEADER_NOT_AVAILABLE",
    "NOT_LEADER_FOR_PARTITION",
    "OFFSET_NOT_AVAILABLE",
    "UNKNOWN_LEADER_EPOCH",
    "_DESTROY_BROKER",
    "_NOENT",
)
"""What is answered while a group's coordinator or a partition's leader moves; the last two by the
client itself, when it learns of other brokers than it asked, and when there is no leader."""
_UNKNOWN = ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_NOENT")
"""What is answered of a topic that is gone, or that another broker has just made; the client may
keep such an answer."""
KNOWN_AFTER = 1.0
"""Seconds after which every broker that serves knows what another has made."""


class AdminConnection:
    """A client for administration, replaced when it gets no answers any more."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout = settings.request_timeout
        self._health = Health(settings.bootstrap_servers)
        self._changing = threading.Lock()
        self._client: AdminClient | None = make_client(AdminClient, settings, self._health, {})
        self._cluster_id = ""
        METERS.clusters.add(self)
        protect(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cluster_id(self) -> str:
        """Return the cluster's ID. It is asked for once."""
        if not self._cluster_id:
            future = self._live().describe_cluster(request_timeout=self._timeout)
            self._cluster_id = str(self._wait(future, "asking for the cluster's ID").cluster_id)
        return self._cluster_id

    @property
    def is_up(self) -> bool | None:
        """Whether a broker answers, by the last that is known; None if nothing is, or closed."""
        return None if self._client is None else self._health.is_up

    def serve(self) -> None:
        """Let the client deliver what it has to say; call it now and then."""
        self._live().poll(0)

    def close(self) -> None:
        """End the client; it cannot be used any more."""
        with self._changing:
            self._client = None

    def _live(self) -> AdminClient:
        if self._client is None:
            raise ClosedError("the connection is closed; make a new EventBus or Cluster")
        return self._client

    def _renew(self) -> None:
        """Ask with a new client from now on.

        One whose broker was killed may get no answer for minutes after that is back (tried).
        """
        with self._changing:
            if self._client is not None:
                self._client = make_client(AdminClient, self._settings, self._health, {})

    def _wait(self, future: Future[_Result], doing: str) -> _Result:
        started = looked = time.monotonic()
        down_since: float | None = None
        while not wait([future], timeout=POLL_INTERVAL).done:
            self._live().poll(0)
            now = time.monotonic()
            if now - started > self._timeout + _GRACE:
                self._renew()
                self._health.is_up = False
                raise BrokerTimeoutError(f"{doing}: no answer in {self._timeout:g} s; try again")
            if not self._health.brokers_down:
                if now - looked > _LOOK_AGAIN_AFTER:
                    looked = now
                    self._look_again()
                continue
            down_since = down_since or now
            if now - down_since > _UNREACHABLE_AFTER:
                self._health.is_up = False
                raise unreachable(doing, self._health)
        try:
            result = future.result()
        except KafkaException as exception:
            self._live().poll(0)
            error = kafka_error(exception)
            if error.code() == KafkaError._DESTROY:
                # Another thread got no answer, and renewed the client that this one had asked.
                raise BrokerTimeoutError(
                    f"{doing}: the cluster gave no answers; try again"
                ) from exception
            if error.code() == KafkaError._TIMED_OUT:
                self._health.is_up = False
                self._renew()
            raise translate(error, doing, self._health) from exception
        self._health.recover()
        return result

    def _wait_or_none(
        self, future: Future[_Result], doing: str, absent: Sequence[int]
    ) -> _Result | None:
        """Wait; None where the cluster answers with one of the codes in `absent`."""
        try:
            return self._wait(future, doing)
        except BrokerError as error:
            if error.__cause__ and kafka_error(error.__cause__).code() in absent:
                return None
            raise

    def _list_topics(self, doing: str) -> list[str]:
        """Return the names of all topics that one may see."""
        # First, since it can be interrupted and knows who cannot be reached.
        self.cluster_id()
        try:
            return list(self._live().list_topics(timeout=self._timeout).topics)
        except KafkaException as exception:
            raise translate(kafka_error(exception), doing, self._health) from exception

    def _look_again(self) -> None:
        """Have the client ask who the controller is, and which topics there are.

        It asks once, and a cluster that has just started may not have had a controller then, nor
        every broker known a topic; the client would wait for its next regular look, minutes later.
        """
        try:
            self._live().list_topics(timeout=_LOOK_AGAIN_AFTER)
        except KafkaException as exception:
            _logger.debug("the cluster was asked for its controller and topics: %s", exception)

    def _ask_until_settled(self, ask: Callable[[], _Result]) -> _Result:
        """Ask again while who has to answer moves, or may not know a topic yet."""
        started = time.monotonic()
        while True:
            try:
                return ask()
            except BrokerError as error:
                code, spent = error.kafka_code, time.monotonic() - started
                is_moving = code in _MOVING and spent <= self._timeout
                is_unknown = code in _UNKNOWN and spent <= KNOWN_AFTER
                if not is_moving and not is_unknown:
                    raise
                time.sleep(POLL_INTERVAL)
                if code in _UNKNOWN:
                    self._look_again()
