"""`platform-events up`."""

from __future__ import annotations

import contextlib
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from platform_events.cli.arguments import Command
from platform_events.cli.connection import running_kafka
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
from platform_events.cli.terminal.interruption import stop_event
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import print_line
from platform_events.cli.views.router import shown_router

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from platform_events.catalog.plan import Change
    from platform_events.channels.thread import RouterThread
    from platform_events.cli.connection import Connection
    from platform_events.cli.serving import Servers
    from platform_events.definitions import Definitions
    from platform_events.kafka.local import LocalKafka
    from platform_events.settings import Settings

_LOOK_EVERY = 0.5
"""Seconds between two looks at whether everything still runs."""
_PORT = click.IntRange(1, 65_535)
_DRAIN_SECONDS = 2.0
"""How long calls may take to end after Ctrl-C."""
_TLS = "tls"
"""Where the data directory keeps certificates."""


@click.command(
    cls=Command,
    examples=(
        "platform-events up",
        "platform-events up --kafka-port 19092 --data-dir /tmp/bus --schemas examples/schemas",
    ),
)
@click.option(
    "--kafka-port",
    type=_PORT,
    default=9092,
    show_default=True,
    envvar="PLATFORM_EVENTS_UP_KAFKA_PORT",
    show_envvar=True,
    help="Port of the first broker, on 127.0.0.1; a second and third have the next two.",
)
@port_option(
    HTTP,
    "PLATFORM_EVENTS_UP_HTTP_PLAIN_PORT",
    "Port of HTTP without TLS, on 127.0.0.1; if it is not given, the next free one will do.",
)
@port_option(HTTPS, "PLATFORM_EVENTS_UP_HTTP_PORT", "The same for HTTP with TLS.")
@port_option(GRPC, "PLATFORM_EVENTS_UP_GRPC_PORT", "The same for gRPC with TLS.")
@port_option(PLAINTEXT, "PLATFORM_EVENTS_UP_PLAINTEXT_PORT", "The same for gRPC without TLS.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".platform-events"),
    show_default=True,
    help="Keeps events and logs. Remove it to start over.",
)
@click.option(
    "--schemas",
    type=click.Path(path_type=Path),
    default=Path("schemas"),
    show_default=True,
    help="Definitions to apply first, if there are any.",
)
@click.option(
    "--brokers",
    type=click.Choice([1, 3]),
    default=1,
    show_default=True,
    help="Brokers of the cluster; it stays as it was made.",
)
@click.option(
    "--kafka-home",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="An unpacked Apache Kafka to run instead of the downloaded one.",
)
@click.pass_obj
def up(
    connection: Connection,
    kafka_port: int,
    http_plain_port: int,
    http_port: int,
    grpc_port: int,
    plaintext_port: int,
    data_dir: Path,
    schemas: Path,
    brokers: int,
    kafka_home: Path | None,
) -> None:
    """Run Kafka and the bus on this machine, for development.

    Starts an embedded Kafka, applies the definitions, fills the channels, serves clients of the
    Pub/Sub API over gRPC, and logins and schemas over HTTP, all for this machine only. It prints
    one line `ready kafka=... http=... https=... grpc=... plaintext=... ca=... data=...` and runs
    until Ctrl-C or SIGTERM, which end it with status 0. Events are kept for the next time.

    Needs the extra 'local': pip install '/path/to/platform-events[local]'
    """
    connection.refuse_other_cluster("up", "choose its port with --kafka-port")
    # A shell lets its background jobs ignore Ctrl-C; a script that sends SIGINT means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        usual_servers = connection.settings().bootstrap_servers
        definitions = _load(schemas)
        kafka_ports = range(kafka_port, kafka_port + brokers)
        ports = {
            HTTP: http_plain_port, HTTPS: http_port, GRPC: grpc_port, PLAINTEXT: plaintext_port,
        }  # fmt: skip
        refuse_missing_packages("local")
        with (
            # Before anything is started, so that what is wrong is said at once.
            listening(
                ports, dict.fromkeys(ports, "127.0.0.1"), exactly=False, brokers=kafka_ports
            ) as listeners,
            _starting_kafka(
                brokers=brokers, data_dir=data_dir, port=kafka_port, kafka_home=kafka_home
            ) as kafka,
        ):
            settings = connection.local_settings(kafka)
            if definitions is not None:
                _apply(settings, definitions, schemas)
            servers = kafka.bootstrap_servers
            if usual_servers not in (servers, *servers.split(",")):
                note(f"other commands find it with PLATFORM_EVENTS_BOOTSTRAP_SERVERS={servers}")
            stop = stop_event(insistently=False)
            tls = kafka.data_dir / _TLS
            with _routing(settings) as router, _serving(settings, listeners, tls) as service:
                _tell_ready(kafka, service, tls)
                while not stop.wait(_LOOK_EVERY):
                    kafka.check()
                    router.check()
                    service.check()
    note(f"stopped; {data_dir} keeps the events" if data_dir.exists() else "stopped")


def _starting_kafka(**options: Any) -> contextlib.AbstractContextManager[LocalKafka]:
    note("starting Kafka, which takes some seconds")
    return running_kafka(**options)


@contextlib.contextmanager
def _routing(settings: Settings) -> Iterator[RouterThread]:
    from platform_events.channels.thread import RouterThread

    with shown_router(settings) as router, RouterThread(router) as thread:
        yield thread


@contextlib.contextmanager
def _serving(
    settings: Settings, listeners: dict[str, socket.socket], directory: Path
) -> Iterator[Servers]:
    from platform_events.service.certificates import own_certificate

    certificate = own_certificate(directory)
    _, port, *_ = listeners[HTTPS].getsockname()
    url = f"https://localhost:{port}"
    with serving(
        settings, listeners, certificate, url=url, drain_timeout=_DRAIN_SECONDS
    ) as servers:
        yield servers


def _tell_ready(kafka: LocalKafka, service: Servers, tls: Path) -> None:
    from platform_events.service.certificates import CA_FILE

    pairs = {
        "kafka": kafka.bootstrap_servers,
        **{server: service.addresses[server] for server in (HTTP, HTTPS, GRPC, PLAINTEXT)},
        "ca": str(tls / CA_FILE),
        "data": str(kafka.data_dir),
    }
    print_line(f"ready {' '.join(f'{name}={shlex.quote(pairs[name])}' for name in pairs)}")


def _load(schemas: Path) -> Definitions | None:
    """Load the definitions before anything is started, so that what is wrong is said at once."""
    if not schemas.exists():
        note(
            f"no definitions are applied: there is no {schemas}; `platform-events init` writes an "
            "example, `platform-events apply` applies it"
        )
        return None
    from platform_events.files.loader import load_definitions

    return load_definitions(schemas)


def _apply(settings: Settings, definitions: Definitions, schemas: Path) -> None:
    from platform_events.catalog.apply import apply, plan_options
    from platform_events.cli.views.plan import done_line

    def tell(change: Change) -> None:
        note(f"{done_line(change)}: {'; '.join(change.details)}")

    plan = apply(settings, definitions, plan_options(settings), progress=tell)
    if not plan.effective:
        note(f"{schemas}: nothing to apply, everything is as defined")
