"""What a worker is: its options, its handlers, and who else is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, TypeAlias

from platform_events.bus.values import Start
from platform_events.errors import UsageError
from platform_events.names import check_subscription, stream_name, stream_path
from platform_events.workers.handlers import Handlers, OnUnhandled
from platform_events.workers.interceptors import Interceptors
from platform_events.workers.journal import Order
from platform_events.workers.options import (
    check_count,
    check_instance_id,
    check_seconds,
    check_start,
    check_text,
    check_word,
)
from platform_events.workers.policy import RetryPolicy

if TYPE_CHECKING:
    from platform_events.bus.starts import StartPoint

OnFailure: TypeAlias = Literal["dead-letter", "stop-key", "stop-worker"]
GroupProtocol: TypeAlias = Literal["auto", "consumer", "classic"]


class WorkerApp:
    """What those who run a worker have to know of it; see `Worker`, which is one.

    Raises:
        UsageError: an option is not allowed.
    """

    def __init__(
        self,
        name: str,
        stream: str,
        *,
        concurrency: int = 32,
        order: Order = "key",
        start: StartPoint = Start.LATEST,
        retry: RetryPolicy | None = None,
        on_failure: OnFailure = "dead-letter",
        on_unhandled: OnUnhandled = "fail",
        batch_size: int = 1,
        batch_wait: float = 0.0,
        max_uncommitted: int = 1000,
        max_bytes: int = 16 * 1024 * 1024,
        grace: float = 30,
        group_protocol: GroupProtocol = "auto",
        instance_id: str | None = None,
    ) -> None:
        self.name = check_subscription(check_text("name", name))
        """Of the subscription."""
        self.stream_name = stream_name(check_text("stream", stream))
        """Bare name of the stream, such as `Order_Placed__e`."""
        self.stream = stream_path(self.stream_name)
        """Path of the stream, such as `/event/Order_Placed__e`."""
        self.concurrency = check_count("concurrency", concurrency)
        """How many handlers run at a time in a process."""
        self.order: Order = check_word("order", order, Order)
        """What waits for what: events of one key for each other, or nothing."""
        self.start = check_start(start)
        """Where a subscription begins that is new."""
        if retry is not None and not isinstance(retry, RetryPolicy):
            raise UsageError(f"retry is a RetryPolicy(...), not {retry!r:.60}")
        self.retry = retry or RetryPolicy()
        """What follows when a handler fails."""
        self.on_failure: OnFailure = check_word("on_failure", on_failure, OnFailure)
        """What becomes of events that failed for good."""
        self.on_unhandled: OnUnhandled = check_word("on_unhandled", on_unhandled, OnUnhandled)
        """What becomes of events without a handler."""
        self.batch_size = check_count("batch_size", batch_size)
        """How many events a handler gets at most at a time."""
        self.batch_wait = check_seconds("batch_wait", batch_wait)
        """Seconds that a list waits for more events."""
        self.max_uncommitted = check_count("max_uncommitted", max_uncommitted)
        """How many events of a partition may be handled and not known to the cluster as such."""
        self.max_bytes = check_count("max_bytes", max_bytes)
        """Bytes of events that wait in this process, about."""
        self.grace = check_seconds("grace", grace)
        """Seconds that handlers may take to finish when the worker is to end."""
        self.group_protocol: GroupProtocol = check_word(
            "group_protocol", group_protocol, GroupProtocol
        )
        """Which of Kafka's two."""
        self.instance_id = check_instance_id(instance_id)
        """Name of this static member; None: it is none."""
        self._check_together()
        self.handlers = Handlers(self.stream_name, self.batch_size, self.on_unhandled)
        """What handles its events."""
        self.interceptors = Interceptors()
        """Who else is told."""
        self.stopping = threading.Event()
        """Set when the worker is to end."""

    def _check_together(self) -> None:
        if self.on_failure == "stop-key" and self.order == "none":
            raise UsageError(
                "on_failure='stop-key' stops later events of a key, and with order='none' none is "
                "later than another: leave order out, or choose another on_failure"
            )
        if self.batch_wait and self.batch_size == 1:
            raise UsageError("batch_wait is for lists: give batch_size too, or leave it out")
        if self.batch_size > self.max_uncommitted:
            raise UsageError(
                f"batch_size {self.batch_size} is more than max_uncommitted "
                f"{self.max_uncommitted}, so no list would ever be full: raise max_uncommitted"
            )

    def check(self) -> None:
        """Check that the worker can run, as far as that shows without a cluster.

        Raises:
            UsageError: it cannot.
        """
        self.handlers.check(self.name)
