"""`platform-events serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command
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

    from platform_events.cli.connection import Connection
    from platform_events.cli.serving import Servers
    from platform_events.service.certificates import Certificate

_LOOK_EVERY = 0.2
"""Seconds between two looks at whether everything still runs."""


@click.command(
    cls=Command,
    examples=(
        "platform-events serve",
        "platform-events serve --tls-cert server.pem --tls-key server.key",
        "platform-events serve --host 0.0.0.0 --insecure --public-url https://events.example.com",
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
    "--public-url",
    metavar="URL",
    envvar="PLATFORM_EVENTS_SERVE_PUBLIC_URL",
    show_envvar=True,
    help="Where clients reach HTTP. Default: the address at which it is served.",
)
@click.option(
    "--drain-timeout",
    metavar="SECONDS",
    type=click.FloatRange(0),
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
    help="Serve other machines too, though nobody's password or token is checked.",
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
    public_url: str | None,
    drain_timeout: float,
    insecure: bool,
) -> None:
    """Serve a tenant to clients of the Pub/Sub API.

    They call gRPC, and log in over HTTP with any name and password: nobody is checked yet, so this
    machine alone is served without --insecure. platform-events up serves by itself.

    Prints one line, `ready grpc=... plaintext=... http=... https=...`, once Kafka answers, and runs
    until Ctrl-C or SIGTERM, which end it with status 0. It takes no more calls then; those under
    way have --drain-timeout to end.

    What is not there yet is waited for: Kafka, definitions. What only a person can end, such as a
    missing ACL, ends it with status 1 once it has lasted 30 seconds. With
    PLATFORM_EVENTS_HEALTH_PORT it answers /livez, /readyz and /metrics.

    Needs the extra 'service': pip install '/path/to/platform-events[service]'
    """
    refuse_missing_packages("service")
    _refuse_others(host, insecure=insecure)
    url = _check_url(public_url)
    certificate = _load(tls_cert, tls_key)
    stop = begin_long_run()
    settings = connection.settings()
    ports = {PLAINTEXT: plaintext_port, HTTP: http_plain_port}
    if certificate is not None:
        ports |= {GRPC: grpc_port, HTTPS: http_port}
    with (
        listening(ports, host, exactly=True) as listeners,
        serving(settings, listeners, certificate, url=url, drain_timeout=drain_timeout) as servers,
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


def _refuse_others(host: str, *, insecure: bool) -> None:
    """Refuse to serve other machines as long as nobody is checked.

    Raises:
        UsageError: the host is reached from elsewhere, and that was not asked for.
        ServiceError: it is no address of this machine.
    """
    from platform_events.service.listener import is_loopback

    if not insecure and not is_loopback(host, "--host"):
        raise UsageError(
            f"--host {host} lets other machines in, and nobody's password or token is checked: add "
            "--insecure if only those reach it who may do everything"
        )


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
