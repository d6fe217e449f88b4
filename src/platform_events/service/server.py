"""The gRPC server, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from platform_events.errors import ServiceError
from platform_events.metrics.meters import METERS
from platform_events.process_health import ProcessHealth
from platform_events.service.handlers import PubSub
from platform_events.service.health import HealthChecks
from platform_events.service.listener import address_of
from platform_events.service.messages import POOL, SERVICE
from platform_events.service.readiness import Readiness, beat
from platform_events.service.tenants import Tenants

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from platform_events.bus.cluster import Cluster
    from platform_events.service.access import Access
    from platform_events.service.certificates import Certificate

_OPTIONS = (
    # Else a second server gets the same port, and every other connection.
    ("grpc.so_reuseport", 0),
    # Clients ping every 60 s, also without calls: by default that ends their connection.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Of one connection; more wait. A client that opens one after the other cannot take all memory.
    ("grpc.max_concurrent_streams", 1_000),
    ("grpc.max_receive_message_length", 4 * 2**20),
    # Tokens of other issuers have many kilobytes.
    ("grpc.max_metadata_size", 17 * 2**10),
    # By default more than 1,000 calls that the loop has not come to are cancelled by lot, whoever
    # makes them: one client that asks too often would end the calls of others.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
)
DRAIN_SECONDS = 10.0
"""How long calls may take to end by default."""
_OTHERS_SECONDS = 0.1
"""The same for health checks and reflection, once the API's calls have ended: they have no end."""
_logger = logging.getLogger("platform_events.service")


@dataclass(frozen=True, slots=True)
class GrpcPort:
    """Where gRPC is served."""

    listener: socket.socket
    """Keeps the port until gRPC takes it, which takes no sockets of others; then it is closed."""
    certificate: Certificate | None
    """None: without TLS."""


class ServiceThread:
    """Serves the Pub/Sub API for the length of a `with`.

    Its end takes no more calls, has streams say how far they are, and cuts off what has not ended
    by then.

    Args:
        cluster: the connection. Whoever has made it closes it afterwards.
        access: knows callers.
        ports: where to serve.
        tenant: whose catalog tells whether Kafka answers.
        drain_timeout: seconds that calls may take to end.
    """

    def __init__(
        self,
        cluster: Cluster,
        access: Access,
        ports: Sequence[GrpcPort],
        *,
        tenant: str,
        drain_timeout: float = DRAIN_SECONDS,
    ) -> None:
        self._tenants = Tenants(cluster)
        self.api = PubSub(access, self._tenants)
        self._ports = ports
        self._tenant = tenant
        self._drain_timeout = drain_timeout
        self.health = ProcessHealth()
        METERS.loops.add(self.health)
        self._failure: Exception | None = None
        self._started = threading.Event()
        self.loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="grpc", daemon=True)

    def check(self) -> None:
        """Raise what ended the server, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(self._serve())
        except Exception as failure:  # noqa: BLE001 - raised again by check()
            self._failure = failure
        finally:
            self._started.set()

    async def _serve(self) -> None:
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers([self.api.handlers])
        checks = HealthChecks()
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
        _add_reflection(server)
        for port in self._ports:
            _take(port, server)
        await server.start()
        self._started.set()
        readiness = Readiness(self._tenants, self._tenant, checks)
        watching = asyncio.create_task(readiness.watch(self.health))
        beating = asyncio.create_task(beat(self.health))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
        finally:
            watching.cancel()
            self.health.obstacle = "it is stopping"
            checks.tell(is_serving=False)
            await self._drain(server)
            beating.cancel()
            self._tenants.close()

    async def _drain(self, server: grpc.aio.Server) -> None:
        """Take no more calls, wait for those under way, but not for ever, and let go of all."""
        drains = [asyncio.ensure_future(drain()) for drain in self.api.drains]
        # Beside them: it refuses what is new at once, and then waits for what they end.
        stopping = asyncio.ensure_future(server.stop(self._drain_timeout))
        over = asyncio.ensure_future(self.api.calls.over())
        await asyncio.wait({stopping, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        await server.stop(_OTHERS_SECONDS)
        await stopping
        for drain in drains:
            drain.cancel()
        for outcome in await asyncio.gather(*drains, return_exceptions=True):
            if isinstance(outcome, Exception):
                _logger.error("draining failed: %r", outcome)
        for close in self.api.closes:
            await close()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        self.check()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        # It is closed if something has ended the server.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if error_type is None:
            self.check()


def _take(port: GrpcPort, server: grpc.aio.Server) -> None:
    """Have the server listen instead of the socket that kept the port.

    Raises:
        ServiceError: somebody else was faster, or the certificate is gone.
    """
    address = address_of(port.listener)
    port.listener.close()
    try:
        if port.certificate is None:
            server.add_insecure_port(address)
        else:
            pair = port.certificate.key_file.read_bytes(), port.certificate.file.read_bytes()
            server.add_secure_port(address, grpc.ssl_server_credentials([pair]))
    except (OSError, RuntimeError) as error:
        raise ServiceError(f"{address} cannot be used ({error})") from None


def _add_reflection(server: grpc.aio.Server) -> None:
    """Let clients such as grpcurl ask which calls there are."""
    pool = DescriptorPool()
    for file in (
        POOL.FindFileContainingSymbol(SERVICE),
        health_pb2.DESCRIPTOR,
        reflection_pb2.DESCRIPTOR,
    ):
        pool.AddSerializedFile(file.serialized_pb)
    services = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(services, server, pool)
