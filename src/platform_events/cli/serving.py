"""What `serve` and `up` have in common: ports, and the servers at them."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from platform_events.cli.terminal.messages import is_debugging
from platform_events.errors import ServiceError
from platform_events.wording import missing_package

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping

    from starlette.requests import Request

    from platform_events.bus.bus import EventBus
    from platform_events.process_health import ProcessHealth
    from platform_events.service.access import Access
    from platform_events.service.certificates import Certificate
    from platform_events.service.http.thread import HttpThread
    from platform_events.service.principal_access import PrincipalAccess
    from platform_events.service.server import ServiceThread
    from platform_events.settings import Settings

_Decorated = TypeVar("_Decorated", bound="Callable[..., Any]")
_LAST_PORT = 65_535
HTTP, HTTPS, GRPC, PLAINTEXT = "http", "https", "grpc", "plaintext"
"""The servers as the ready line names them: HTTP and gRPC, each without TLS and with it."""
_OPTIONS = {
    HTTP: "--http-plain-port",
    HTTPS: "--http-port",
    GRPC: "--grpc-port",
    PLAINTEXT: "--plaintext-port",
}
USUAL_PORTS = {HTTP: 7080, HTTPS: 7444, GRPC: 7443, PLAINTEXT: 7011}
"""The one of gRPC without TLS is known to clients: Go's sample takes TLS everywhere else."""


def port_option(
    server: str, variable: str, purpose: str, *, least: int = 1
) -> Callable[[_Decorated], _Decorated]:
    """Add the option for the port of a server.

    Args:
        server: which one.
        variable: of the environment, where the option is not given.
        purpose: its help.
        least: 0 lets the system choose a port.
    """
    return click.option(
        _OPTIONS[server],
        type=click.IntRange(least, _LAST_PORT),
        default=USUAL_PORTS[server],
        show_default=True,
        envvar=variable,
        show_envvar=True,
        help=purpose,
    )


def refuse_missing_packages(extra: str) -> None:
    """Import what serving takes, so that what is missing is said before anything is started.

    Args:
        extra: brings it.

    Raises:
        ServiceError: packages are missing.
    """
    if not is_debugging():
        # What gRPC's core says about connections is no line of a log, and nothing to act upon.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import platform_events.service.certificates
        import platform_events.service.http.application
        import platform_events.service.http.soap
        import platform_events.service.http.thread
        import platform_events.service.server  # noqa: F401
    except ImportError as error:
        raise ServiceError(missing_package("serving", error.name, extra)) from None


@contextmanager
def listening(
    ports: Mapping[str, int],
    hosts: Mapping[str, str],
    *,
    exactly: bool,
    brokers: range = range(0),
) -> Iterator[dict[str, socket.socket]]:
    """Listen for some servers, so that nobody else gets their ports.

    Args:
        ports: by server.
        hosts: by server, a name or address of this machine.
        exactly: whether no other port will do where an option is not given.
        brokers: ports that Kafka gets later.

    Raises:
        ServiceError: a port cannot be used.
    """
    from platform_events.service.listener import listen

    chosen = {server: exactly or _is_given(server) for server in ports}
    listeners = {}
    with ExitStack() as exits:
        # Those that were asked for come first: the others would take theirs.
        for server in sorted(ports, key=lambda server: not chosen[server]):
            listener = listen(
                ports[server],
                hosts[server],
                exactly=chosen[server],
                setting=_OPTIONS[server],
                brokers=brokers,
            )
            listeners[server] = exits.enter_context(listener)
        yield listeners


def _is_given(server: str) -> bool:
    name = _OPTIONS[server].removeprefix("--").replace("-", "_")
    source = click.get_current_context().get_parameter_source(name)
    return source is not ParameterSource.DEFAULT


@dataclass(frozen=True, slots=True)
class Servers:
    """What runs, and where."""

    addresses: dict[str, str]
    """By server: URLs of HTTP, `host:port` of gRPC."""
    service: ServiceThread
    threads: list[HttpThread]

    @property
    def health(self) -> ProcessHealth:
        """Whether Kafka answers, and the loop comes round."""
        return self.service.health

    def check(self) -> None:
        """Raise what ended one of them, if anything did."""
        self.service.check()
        for thread in self.threads:
            thread.check()


@contextmanager
def serving(
    settings: Settings,
    listeners: Mapping[str, socket.socket],
    certificate: Certificate | None,
    *,
    url: str | None = None,
    drain_timeout: float | None = None,
    principals: PrincipalAccess | None = None,
) -> Iterator[Servers]:
    """Serve for the length of a `with`: the tenants of principals, or one tenant to whoever calls.

    Args:
        settings: which cluster and tenant.
        listeners: by server; those with TLS only if there is a certificate.
        certificate: for TLS.
        url: where clients that have logged in go on; None is where HTTP is served.
        drain_timeout: seconds that calls may take to end; None is the default.
        principals: lets them in; None lets everybody in.

    Raises:
        ServiceError: gRPC cannot have a port.
    """
    from platform_events.bus.cluster import Cluster
    from platform_events.service.access import OpenAccess
    from platform_events.service.http.application import make_application
    from platform_events.service.http.callers import caller
    from platform_events.service.http.oauth import oauth_routes
    from platform_events.service.http.soap import soap_routes
    from platform_events.service.http.thread import HttpThread
    from platform_events.service.listener import address_of
    from platform_events.service.server import DRAIN_SECONDS, GrpcPort, ServiceThread

    addresses = {server: address_of(listener) for server, listener in listeners.items()}
    addresses |= {s: f"{s}://{addresses[s]}" for s in (HTTP, HTTPS) if s in addresses}
    url = url or addresses.get(HTTPS) or addresses[HTTP]
    certificates = {GRPC: certificate, PLAINTEXT: None, HTTPS: certificate, HTTP: None}
    access: Access = principals or OpenAccess(settings.tenant)
    with ExitStack() as exits:
        if principals is not None:
            exits.enter_context(principals)
        cluster = exits.enter_context(Cluster(settings))
        service = ServiceThread(
            cluster,
            access,
            [GrpcPort(listeners[s], certificates[s]) for s in (GRPC, PLAINTEXT) if s in listeners],
            tenant=settings.tenant,
            drain_timeout=DRAIN_SECONDS if drain_timeout is None else drain_timeout,
        )
        exits.enter_context(service)
        bus_of_tenant = cache(cluster.bus)

        async def bus_of_caller(request: Request) -> EventBus:
            return bus_of_tenant((await caller(request, access)).tenant)

        application = make_application(
            bus_of_tenant(settings.tenant) if principals is None else bus_of_caller,
            [*soap_routes(access, url), *oauth_routes(access, url)],
        )
        threads = [
            exits.enter_context(HttpThread(application, listeners[s], certificates[s]))
            for s in (HTTP, HTTPS)
            if s in listeners
        ]
        yield Servers(addresses, service, threads)
