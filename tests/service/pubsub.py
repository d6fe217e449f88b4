"""The Pub/Sub API in a test: served by a thread, and asked by a client that sends anything."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from platform_events.bus.cluster import Cluster
from platform_events.service.access import OpenAccess
from platform_events.service.listener import address_of, listen
from platform_events.service.messages import SERVICE
from platform_events.service.server import GrpcPort, ServiceThread
from platform_events.service.subscribe import Subscribing
from platform_events.settings import Settings
from tests.support import free_port

Result = TypeVar("Result")
METADATA = (("accesstoken", "token"), ("instanceurl", "https://localhost"), ("tenantid", "00D1"))
PATIENCE = 60.0
"""Seconds that no answer takes, however busy the machine is."""


class Client:
    """Sends messages as bytes, so that nonsense can be sent too."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target)

    def ask(self, method: str, request: Any, metadata: Any = METADATA, answer: Any = None) -> Any:
        """Return the answer to a request; `answer` is its class, None returns the bytes."""
        call = self._channel.unary_unary(f"/{SERVICE}/{method}")
        data = call(_bytes(request), metadata=metadata, timeout=PATIENCE)
        return data if answer is None else answer.FromString(data)

    def stream(self, method: str, requests: Iterable[Any], metadata: Any = METADATA) -> Any:
        """Return gRPC's call, an iterator of answers as bytes."""
        call = self._channel.stream_stream(f"/{SERVICE}/{method}")
        return call((_bytes(one) for one in requests), metadata=metadata)

    def close(self) -> None:
        self._channel.close()


def failure(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, dict[str, Any]]:
    """Return status, code without its prefix, and all trailers of a call that failed."""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    code = str(trailers.get("error-code", "")).removeprefix("sfdc.platform.eventbus.grpc.")
    return error.code(), code, trailers


class Served(str):
    """The address of a service, with what a test needs of its inside."""

    __slots__ = ("loop", "subscribing")
    loop: asyncio.AbstractEventLoop
    subscribing: Subscribing

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what comes of a coroutine in the service's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)


@contextmanager
def serving(settings: Settings) -> Iterator[Served]:
    """Serve one tenant at the address that this gives."""
    with listen(free_port(), exactly=True) as listener, Cluster(settings) as cluster:
        port = GrpcPort(listener, None)
        access = OpenAccess(settings.tenant)
        served = Served(address_of(listener))
        with ServiceThread(
            cluster, access, [port], tenant=settings.tenant, drain_timeout=0
        ) as service:
            served.loop, served.subscribing = service.loop, service.api.subscribing
            yield served


def _bytes(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())
