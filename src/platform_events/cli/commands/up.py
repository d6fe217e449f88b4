"""`platform-events up`."""

from __future__ import annotations

import contextlib
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command
from platform_events.cli.connection import running_kafka
from platform_events.cli.terminal.interruption import stop_event
from platform_events.cli.terminal.output import note, print_line
from platform_events.cli.views.router import shown_router

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.catalog.plan import Change
    from platform_events.channels.thread import RouterThread
    from platform_events.cli.connection import Connection
    from platform_events.definitions import Definitions
    from platform_events.settings import Settings

_LOOK_EVERY = 0.5
"""Seconds between two looks at whether the brokers still run."""


@click.command(
    cls=Command,
    examples=(
        "platform-events up",
        "platform-events up --kafka-port 19092 --data-dir /tmp/bus --schemas examples/schemas",
    ),
)
@click.option(
    "--kafka-port",
    type=click.IntRange(1, 65_535),
    default=9092,
    show_default=True,
    help="Port of the first broker, on 127.0.0.1; a second and third have the next two.",
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
    data_dir: Path,
    schemas: Path,
    brokers: int,
    kafka_home: Path | None,
) -> None:
    """Run Kafka and the bus on this machine, for development.

    Starts an embedded Kafka, applies the definitions, fills the channels, prints one line
    `ready kafka=... data=...` and runs until Ctrl-C or SIGTERM, which end it with status 0. Events
    are kept for the next time.

    Needs: pip install 'platform-events[local]'
    """
    connection.refuse_other_cluster("up", "choose its port with --kafka-port")
    # A shell lets its background jobs ignore Ctrl-C; a script that sends SIGINT means it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        usual_servers = connection.settings().bootstrap_servers
        definitions = _load(schemas)
        with running_kafka(
            brokers=brokers, data_dir=data_dir, port=kafka_port, kafka_home=kafka_home
        ) as kafka:
            settings = connection.local_settings(kafka)
            if definitions is not None:
                _apply(settings, definitions, schemas)
            servers = kafka.bootstrap_servers
            if usual_servers not in (servers, *servers.split(",")):
                note(f"other commands find it with PLATFORM_EVENTS_BOOTSTRAP_SERVERS={servers}")
            stop = stop_event(insistently=False)
            with _routing(settings) as router:
                data = shlex.quote(str(kafka.data_dir))
                print_line(f"ready kafka={shlex.quote(servers)} data={data}")
                while not stop.wait(_LOOK_EVERY):
                    kafka.check()
                    router.check()
    note(f"stopped; {data_dir} keeps the events" if data_dir.exists() else "stopped")


@contextlib.contextmanager
def _routing(settings: Settings) -> Iterator[RouterThread]:
    from platform_events.channels.thread import RouterThread

    with shown_router(settings) as router, RouterThread(router) as thread:
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
