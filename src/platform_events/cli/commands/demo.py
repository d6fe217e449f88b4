"""`platform-events demo`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command
from platform_events.cli.connection import running_kafka
from platform_events.cli.terminal.output import print_line

if TYPE_CHECKING:
    from platform_events.cli.connection import Connection


@click.command(cls=Command, examples=("platform-events demo",))
@click.pass_obj
def demo(connection: Connection) -> None:
    """Show everything on free ports with real data, then stop.

    Publishes a week of New York flights to an embedded Kafka in a temporary directory, reads them
    in several ways and checks each claim that it makes; if one does not hold, the exit status is
    1. Leaves nothing behind.

    Needs the extra 'local': pip install '/path/to/platform-events[local]'
    """
    connection.refuse_other_cluster("demo", "leave it out")
    from platform_events.demo.narration import Narrator
    from platform_events.demo.tour import give_tour

    narrator = Narrator(print_line, styled=sys.stdout.isatty(), progress=sys.stderr.isatty())
    begin = time.monotonic()
    with running_kafka() as kafka:
        narrator.begin_chapter("A real Kafka")
        narrator.say(
            f"Apache Kafka serves at {kafka.bootstrap_servers} after "
            f"{time.monotonic() - begin:.1f} s, its data in a temporary directory."
        )
        give_tour(connection.local_settings(kafka), narrator)
    narrator.begin_chapter("The end")
    narrator.claim(
        not kafka.pids and not kafka.data_dir.exists(),
        "Kafka is stopped, its directory is removed",
    )
    narrator.finish(time.monotonic() - begin)
