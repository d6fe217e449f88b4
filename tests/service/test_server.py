"""The gRPC server: ports with and without TLS, what it tells of itself, and its end."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from platform_events.bus.cluster import Cluster
from platform_events.errors import ConfigurationError, ServiceError
from platform_events.service import server as server_module
from platform_events.service.access import OpenAccess, Session
from platform_events.service.calls import Calls
from platform_events.service.certificates import CA_FILE, Certificate, own_certificate
from platform_events.service.errors import SUBSCRIPTION_INTERNAL, CallError
from platform_events.service.listener import address_of, listen
from platform_events.service.messages import SERVICE, TopicRequest
from platform_events.service.server import GrpcPort, ServiceThread
from platform_events.settings import Settings
from tests.service.pubsub import METADATA, PATIENCE, Client, failure, serving
from tests.support import free_port, wait_until

HEALTH = health_pb2.HealthCheckResponse
AWAY = Settings(bootstrap_servers="127.0.0.1:1", request_timeout=1)
"""Of a Kafka that is not there."""


@contextmanager
def running(
    settings: Settings, *certificates: Certificate | None, drain_timeout: float = PATIENCE
) -> Iterator[tuple[ServiceThread, list[str]]]:
    """Run a service with a port for each certificate, None for one without TLS."""
    with ExitStack() as exits:
        cluster = exits.enter_context(Cluster(settings))
        ports, addresses = [], []
        for certificate in certificates or (None,):
            listener = exits.enter_context(listen(free_port(), exactly=True))
            ports.append(GrpcPort(listener, certificate))
            addresses.append(address_of(listener))
        service = ServiceThread(
            cluster,
            OpenAccess(settings.tenant),
            ports,
            tenant=settings.tenant,
            drain_timeout=drain_timeout,
        )
        exits.enter_context(service)
        yield service, addresses


def status(target: str, service: str = SERVICE) -> int:
    with grpc.insecure_channel(target) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        return int(check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE).status)


def refusal(target: str, metadata: Any = METADATA) -> str:
    """Return the code of a call that is answered, whatever the answer is."""
    client = Client(target)
    with pytest.raises(grpc.RpcError) as caught:
        client.ask("GetTopic", TopicRequest(topic_name="/event/No__e"), metadata)
    client.close()
    return failure(caught.value)[1]


class TestReadiness:
    def test_it_serves_once_kafka_answers(self, settings: Settings) -> None:
        with running(settings) as (service, (target,)):
            wait_until(lambda: not service.health.obstacle)
            wait_until(lambda: status(target) == HEALTH.SERVING == status(target, ""))
            assert service.health.is_alive
        assert service.health.obstacle == "it is stopping"

    def test_it_says_what_is_in_the_way_and_answers_meanwhile(self) -> None:
        with running(AWAY) as (service, (target,)):
            assert status(target) == HEALTH.NOT_SERVING == status(target, "")
            wait_until(lambda: "BROKER" in service.health.obstacle)
            assert status(target) == HEALTH.NOT_SERVING
            assert service.health.is_alive
            assert refusal(target) == "topic.api.unavailable"

    def test_a_property_that_is_wrong_ends_it(self) -> None:
        wrong = AWAY.model_copy(update={"kafka": {"no.such.property": "1"}})
        with pytest.raises(ConfigurationError), running(wrong) as (service, _):
            wait_until(lambda: not service._thread.is_alive())


class TestPorts:
    def test_tls_is_served_beside_plaintext(self, tmp_path: Path) -> None:
        certificate = own_certificate(tmp_path)
        trusted = (tmp_path / CA_FILE).read_bytes()
        with running(AWAY, certificate, None) as (_, (secure, plain)):
            port = secure.rpartition(":")[2]
            for host in ("localhost", "127.0.0.1"):
                credentials = grpc.ssl_channel_credentials(trusted)
                with grpc.secure_channel(f"{host}:{port}", credentials) as channel:
                    check = health_pb2_grpc.HealthStub(channel).Check
                    request = health_pb2.HealthCheckRequest()
                    assert check(request, timeout=PATIENCE).status == HEALTH.NOT_SERVING
            assert status(plain) == HEALTH.NOT_SERVING

    def test_one_that_somebody_else_has_is_refused(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other, Cluster(AWAY) as cluster:
            taken = socket.fromfd(other.fileno(), socket.AF_INET, socket.SOCK_STREAM)
            service = ServiceThread(
                cluster, OpenAccess("default"), [GrpcPort(taken, None)], tenant="default"
            )
            with pytest.raises(ServiceError, match=r"127.0.0.1:\d+ cannot be used"):
                service.__enter__()

    def test_it_is_free_afterwards(self) -> None:
        with running(AWAY) as (_, (target,)):
            assert status(target) == HEALTH.NOT_SERVING
        port = int(target.rpartition(":")[2])
        listen(port, exactly=True).close()


def test_long_tokens_are_taken(settings: Settings) -> None:
    with serving(settings) as target:
        metadata = (("accesstoken", "x" * 14_000), *METADATA[1:])
        assert refusal(target, metadata) == "topic.not.found"


def test_many_calls_at_once_end_nobody_s_call(settings: Settings) -> None:
    request = TopicRequest(topic_name="/event/None__e").SerializeToString()
    apart = [("grpc.use_local_subchannel_pool", 1)]
    with running(settings) as (service, [address]), ExitStack() as exits:
        channels = [exits.enter_context(grpc.insecure_channel(address, apart)) for _ in range(6)]
        has_sent = threading.Event()
        service.loop.call_soon_threadsafe(has_sent.wait, PATIENCE)
        calls = [
            ask.future(request, metadata=METADATA, timeout=PATIENCE)
            for ask in (one.unary_unary(f"/{SERVICE}/GetTopic") for one in channels)
            for _ in range(900)
        ]
        has_sent.set()
        codes = {call.code() for call in calls}
    assert codes == {grpc.StatusCode.NOT_FOUND}


def test_clients_may_ping_without_calls_as_often_as_they_do() -> None:
    given = dict(server_module._OPTIONS)
    assert given["grpc.keepalive_permit_without_calls"] == 1
    assert given["grpc.http2.min_ping_interval_without_data_ms"] <= 30_000


def test_a_connection_has_as_many_streams_as_clients_know() -> None:
    assert dict(server_module._OPTIONS)["grpc.max_concurrent_streams"] == 1_000


def test_it_describes_its_services() -> None:
    with running(AWAY) as (_, (target,)), grpc.insecure_channel(target) as channel:
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        request = reflection_pb2.ServerReflectionRequest
        requests = [
            request(list_services=""),
            request(file_containing_symbol=SERVICE),
            request(file_containing_symbol="grpc.health.v1.Health"),
        ]
        listed, *described = ask(iter(requests), timeout=PATIENCE)
    names = [service.name for service in listed.list_services_response.service]
    assert SERVICE in names
    assert "grpc.health.v1.Health" in names
    for answer in described:
        assert answer.file_descriptor_response.file_descriptor_proto


class Streams:
    """A call that goes on until it is drained, instead of the API."""

    def __init__(self, is_deaf: bool = False) -> None:
        self.begun = threading.Event()
        self.is_closed = False
        self._is_deaf = is_deaf
        self._draining: asyncio.Event

    def __call__(self, access: OpenAccess, _: object) -> Streams:
        self._draining = asyncio.Event()
        self.calls = calls = Calls(access)
        self.handlers = grpc.method_handlers_generic_handler(
            SERVICE, {"Subscribe": calls.streaming(self.stream)}
        )
        self.drains = (self.drain,)
        self.closes = (self.close,)
        return self

    async def stream(self, call: Any) -> None:
        await call.write(b"")
        self.begun.set()
        await self._draining.wait()
        await call.write(TopicRequest(topic_name="last").SerializeToString())
        raise CallError(SUBSCRIPTION_INTERNAL, "The server ends.")

    async def close(self) -> None:
        self.is_closed = True

    async def drain(self) -> None:
        if self._is_deaf:
            await asyncio.Event().wait()
        self._draining.set()


class TestTheEnd:
    def test_streams_say_how_far_they_are(self, monkeypatch: pytest.MonkeyPatch) -> None:
        streams = Streams()
        monkeypatch.setattr(server_module, "PubSub", streams)
        with running(AWAY) as (_, (target,)):
            client = Client(target)
            call = client.stream("Subscribe", [])
            assert next(call) == b""
        assert streams.is_closed
        assert TopicRequest.FromString(next(call)).topic_name == "last"
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert failure(caught.value)[:2] == (
            grpc.StatusCode.UNAVAILABLE, "subscription.internal.error",
        )  # fmt: skip
        client.close()

    def test_health_checks_and_reflection_do_not_hold_it_up(self) -> None:
        with running(AWAY, drain_timeout=3_600) as (_, (target,)):
            channel = grpc.insecure_channel(target)
            watching = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert next(watching).status == HEALTH.NOT_SERVING
            asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
            asked.put(reflection_pb2.ServerReflectionRequest(list_services=""))
            ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
            described = ask(iter(asked.get, None))
            assert next(described).list_services_response.service
        for call in (watching, described):
            with pytest.raises(grpc.RpcError):
                next(call)
        asked.put(None)
        channel.close()

    def test_a_call_that_does_not_end_is_cut_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server_module, "PubSub", Streams(is_deaf=True))
        with running(AWAY, drain_timeout=0.2) as (_, (target,)):
            client = Client(target)
            call = client.stream("Subscribe", [])
            assert next(call) == b""
        with pytest.raises(grpc.RpcError):
            next(call)
        client.close()

    def test_it_leaves_no_thread(self, settings: Settings) -> None:
        before = {thread.name for thread in threading.enumerate()}
        with running(settings) as (service, _):
            wait_until(lambda: not service.health.obstacle)

        def left() -> set[str]:
            return {one.name for one in threading.enumerate()} - before

        wait_until(lambda: not {name for name in left() if name.startswith(("grpc", "platform"))})


def test_whoever_logs_in_gets_what_calls_need() -> None:
    login = asyncio.run(OpenAccess("shop").log_in("me", "any", "127.0.0.1"))
    assert login is not None
    assert login.session == Session("me", "shop")
    tenant, _, rest = login.token.partition("!")
    assert len(tenant) == 18
    assert rest
