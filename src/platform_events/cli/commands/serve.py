"""`platform-events serve`."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command, FiniteRange
from platform_events.cli.long_running import answering_probes, begin_long_run, collect_rarely
from platform_events.cli.serving import (
    GRPC,
    HTTP,
    HTTPS,
    PLAINTEXT,
    listening,
    port_option,
    refuse_missing_packages,
    serving,
)
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import print_line
from platform_events.errors import UsageError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from platform_events.cli.connection import Connection
    from platform_events.cli.serving import Servers
    from platform_events.service.certificates import Certificate
    from platform_events.service.principal_access import PrincipalAccess

_LOOK_EVERY = 0.2
"""Seconds between two looks at whether everything still runs."""


@click.command(
    cls=Command,
    examples=(
        "platform-events serve",
        "platform-events serve --tls-cert server.pem --tls-key server.key",
        "platform-events serve --host 0.0.0.0 --tls-cert server.pem --tls-key server.key \\",
        "  --principals principals.yaml --token-key token.key \\",
        "  --public-url https://events.example.com:7444",
    ),
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar="PLATFORM_EVENTS_SERVE_HOST",
    show_envvar=True,
    help="Name or address of this machine at which to serve.",
)
@port_option(
    GRPC,
    "PLATFORM_EVENTS_SERVE_GRPC_PORT",
    "Port of gRPC with TLS. 0: any that is free, as for the others.",
    least=0,
)
@port_option(
    PLAINTEXT,
    "PLATFORM_EVENTS_SERVE_PLAINTEXT_PORT",
    "Port of gRPC without TLS.",
    least=0,
)
@port_option(HTTPS, "PLATFORM_EVENTS_SERVE_HTTP_PORT", "Port of HTTP with TLS.", least=0)
@port_option(
    HTTP,
    "PLATFORM_EVENTS_SERVE_HTTP_PLAIN_PORT",
    "Port of HTTP without TLS.",
    least=0,
)
@click.option(
    "--tls-cert",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="PLATFORM_EVENTS_SERVE_TLS_CERT",
    show_envvar=True,
    help="The server's certificate as PEM text, with those between it and its authority. Without "
    "it nothing is served with TLS.",
)
@click.option(
    "--tls-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="PLATFORM_EVENTS_SERVE_TLS_KEY",
    show_envvar=True,
    help="The key of the certificate.",
)
@click.option(
    "--principals",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="PLATFORM_EVENTS_SERVE_PRINCIPALS",
    show_envvar=True,
    help="Who may log in, and do what, as platform-events principal writes it. Without it anybody "
    "may do everything in the tenant.",
)
@click.option(
    "--token-key",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="PLATFORM_EVENTS_SERVE_TOKEN_KEY",
    show_envvar=True,
    help="At least 32 random bytes that sign tokens: services with the same accept each other's. "
    "Without it tokens are good until this ends.",
)
@click.option(
    "--public-url",
    metavar="URL",
    envvar="PLATFORM_EVENTS_SERVE_PUBLIC_URL",
    show_envvar=True,
    help="Where clients reach HTTP. Default: the address at which it is served.",
)
@click.option(
    "--drain-timeout",
    metavar="SECONDS",
    type=FiniteRange(0),
    default=10.0,
    show_default=True,
    envvar="PLATFORM_EVENTS_SERVE_DRAIN_TIMEOUT",
    show_envvar=True,
    help="How long calls may take to end when this ends.",
)
@click.option(
    "--insecure",
    is_flag=True,
    envvar="PLATFORM_EVENTS_SERVE_INSECURE",
    show_envvar=True,
    help="Serve other machines too, though nobody is checked or what is sent can be read.",
)
@click.pass_obj
def serve(
    connection: Connection,
    host: str,
    grpc_port: int,
    plaintext_port: int,
    http_port: int,
    http_plain_port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    principals: Path | None,
    token_key: Path | None,
    public_url: str | None,
    drain_timeout: float,
    insecure: bool,
) -> None:
    """Serve clients of the Pub/Sub API.

    They log in over HTTP and call gRPC. With --principals each has a tenant and rights. Without it
    any name and password will do, and the tenant is that of the settings. Other machines are served
    with principals and TLS; without TLS this machine alone is. platform-events up serves by itself.

    Prints one line, `ready grpc=... plaintext=... http=... https=...`, once Kafka answers, and runs
    until Ctrl-C or SIGTERM, which end it with status 0. It takes no more calls then; those under
    way have --drain-timeout to end.

    What is not there yet is waited for: Kafka, definitions. What only a person can end, such as a
    missing ACL, ends it with status 1 once it has lasted 30 seconds. With
    PLATFORM_EVENTS_HEALTH_PORT it answers /livez, /readyz and /metrics.

    Needs the extra 'service': pip install '/path/to/platform-events[service]'
    """
    refuse_missing_packages("service")
    is_local = _is_local(host)
    url = _check_url(public_url)
    certificate = _load(tls_cert, tls_key)
    _refuse_others(host, principals, certificate, is_allowed=is_local or insecure)
    access = _load_principals(principals, token_key)
    stop = begin_long_run()
    if access is not None and token_key is None:
        note("tokens are signed with a key of this process alone; --token-key gives it to others")
    settings = connection.settings()
    ports = {PLAINTEXT: plaintext_port, HTTP: http_plain_port}
    if certificate is not None:
        ports |= {GRPC: grpc_port, HTTPS: http_port}
    with (
        listening(ports, _hosts(ports, host, is_local or insecure), exactly=True) as listeners,
        serving(
            settings,
            listeners,
            certificate,
            url=url,
            drain_timeout=drain_timeout,
            principals=access,
        ) as servers,
        answering_probes(settings, servers.health, stop),
    ):
        _run(servers, stop)
    note("stopped")


def _run(servers: Servers, stop: threading.Event) -> None:
    """Say once when all is ready, and return when it is to stop."""
    has_told = False
    collect_rarely()
    while not stop.wait(_LOOK_EVERY):
        servers.check()
        if not has_told and not servers.health.obstacle:
            has_told = True
            addresses = servers.addresses
            told = [f"{s}={addresses[s]}" for s in (GRPC, PLAINTEXT, HTTP, HTTPS) if s in addresses]
            print_line(f"ready {' '.join(told)}")


def _is_local(host: str) -> bool:
    """Whether only this machine reaches a host; raises ServiceError if it is no address of it."""
    from platform_events.service.listener import is_loopback

    return is_loopback(host, "--host")


def _refuse_others(
    host: str, principals: Path | None, certificate: Certificate | None, *, is_allowed: bool
) -> None:
    """Refuse to serve other machines where nobody is checked or what is sent can be read.

    Raises:
        UsageError: so it is, and that was not asked for.
    """
    missing = []
    if principals is None:
        missing.append("--principals, or anybody may do everything")
    if certificate is None:
        missing.append("--tls-cert and --tls-key, or secrets and events can be read on their way")
    if missing and not is_allowed:
        raise UsageError(
            f"--host {host} lets other machines in: give {'; and '.join(missing)}. "
            "Or add --insecure if only those reach it who may do everything"
        )


def _hosts(ports: Iterable[str], host: str, is_allowed: bool) -> dict[str, str]:
    """Return where each server listens: without TLS on this machine only, unless it is allowed."""
    from platform_events.service.listener import LOOPBACK

    plain = host if is_allowed else LOOPBACK
    return {server: plain if server in (HTTP, PLAINTEXT) else host for server in ports}


def _load_principals(file: Path | None, key_file: Path | None) -> PrincipalAccess | None:
    """Return what lets principals in; None if nobody is checked.

    Raises:
        UsageError: there is a key, and no principals.
        ServiceError: a file cannot be read.
        DefinitionsError: something in the file of principals is wrong.
    """
    from platform_events.service.access_log import AccessLog
    from platform_events.service.principal_access import PrincipalAccess
    from platform_events.service.principals_file import PrincipalsFile
    from platform_events.service.tokens import KEY_BYTES, Tokens, load_key

    if file is None:
        if key_file is not None:
            raise UsageError("--token-key goes with --principals: without them no token is checked")
        return None
    principals = PrincipalsFile(file)
    key = secrets.token_bytes(KEY_BYTES) if key_file is None else load_key(key_file)
    return PrincipalAccess(principals, Tokens(key), AccessLog())


def _check_url(url: str | None) -> str | None:
    """Return a URL without a slash at its end.

    Raises:
        UsageError: it is none of HTTP.
    """
    from urllib.parse import urlsplit

    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--public-url {url!r:.100} is not of the form https://host:port")
    return url.rstrip("/")


def _load(file: Path | None, key_file: Path | None) -> Certificate | None:
    """Return the certificate, None if there is none.

    Raises:
        UsageError: only one of the two files is given.
        ServiceError: they cannot be used.
    """
    from platform_events.service.certificates import load_certificate

    if file is None and key_file is None:
        return None
    if file is None or key_file is None:
        raise UsageError("--tls-cert and --tls-key go together: give both")
    return load_certificate(file, key_file)
