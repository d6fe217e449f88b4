"""The Pub/Sub API in a test: served by a thread, and asked by a client that sends anything."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from platform_events.bus.cluster import Cluster
from platform_events.service.access import OpenAccess
from platform_events.service.handlers import pubsub_handlers
from platform_events.service.messages import SERVICE
from platform_events.service.subscribe import Subscribing
from platform_events.service.tenants import Tenants
from platform_events.settings import Settings

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
    started, loop = threading.Event(), asyncio.new_event_loop()
    address: list[Served] = []
    stop = asyncio.Event()

    async def serve() -> None:
        with Cluster(settings) as cluster:
            tenants = Tenants(cluster)
            server = grpc.aio.server()
            subscribing = Subscribing(tenants)
            access = OpenAccess(settings.tenant)
            server.add_generic_rpc_handlers([pubsub_handlers(access, tenants, subscribing)])
            served = Served(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
            served.loop, served.subscribing = loop, subscribing
            address.append(served)
            await server.start()
            started.set()
            await stop.wait()
            await server.stop(0)
            await subscribing.close()
            tenants.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(PATIENCE)
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        loop.close()


def _bytes(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())
