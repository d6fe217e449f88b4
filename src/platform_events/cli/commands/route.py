"""`platform-events route`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command
from platform_events.cli.long_running import answering_probes, begin_long_run
from platform_events.cli.terminal.messages import note
from platform_events.cli.views.router import shown_router

if TYPE_CHECKING:
    from platform_events.cli.connection import Connection


@click.command(
    cls=Command,
    examples=(
        "platform-events route",
        "platform-events --tenant shop route",
    ),
)
@click.pass_obj
def route(connection: Connection) -> None:
    """Fill the tenant's channels from their member events.

    Channels are defined in schemas/channels/ and made by platform-events apply. platform-events up
    routes by itself.

    Runs until Ctrl-C or SIGTERM, which end it with status 0; what is under way is finished first.
    Any number of routers share the channels of a tenant, and take over within seconds from one
    that dies. New and changed channels are noticed while it runs. What each channel does is said
    on stderr, and shown anywhere by platform-events streams.

    What is not there yet is waited for: Kafka, definitions, topics. What only a person can end,
    such as a missing ACL, ends it with status 1 once it has lasted 30 seconds. With
    PLATFORM_EVENTS_HEALTH_PORT it answers /livez, /readyz and /metrics.
    """
    stop = begin_long_run()
    settings = connection.settings()
    with shown_router(settings) as router, answering_probes(settings, router.health, stop):
        router.run(stop)
    note("stopped")
