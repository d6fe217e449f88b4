"""`platform-events subscriptions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import (
    CONTEXT_SETTINGS,
    Command,
    CommandGroup,
    json_option,
    parse_target,
)
from platform_events.cli.completion import complete_subscriptions
from platform_events.cli.terminal.confirmation import ask
from platform_events.cli.terminal.failures import FAILED
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from platform_events.bus.bus import EventBus
    from platform_events.bus.values import Start
    from platform_events.cli.connection import Connection
    from platform_events.replay import ReplayId

_WAIT = 10.0
"""Seconds that a command waits at most for workers to apply it."""
_name = click.argument("name", metavar="NAME", shell_complete=complete_subscriptions)


@click.group(cls=CommandGroup, context_settings=CONTEXT_SETTINGS)
def subscriptions() -> None:
    """Look at the subscriptions of workers, command them.

    What is commanded holds for workers that run and for those that start later.
    """


@subscriptions.command(
    "list",
    cls=Command,
    examples=(
        "platform-events subscriptions list",
        "platform-events subscriptions list --json | jq '.[] | select(.lag_seconds > 60)'",
    ),
)
@json_option
@click.pass_obj
def list_(connection: Connection, as_json: bool) -> None:
    """List the subscriptions and how they are doing.

    STATE is running, paused, idle (nobody works for it) or pending (a command is not applied in
    every partition yet). LAG is how many events are not handled yet (an upper bound), AGE the age
    of the oldest of them, TIME TO LOSS for how long that is there at least, LOST how many were
    removed by retention before they were handled. HOLES are events that are not handled while later
    ones of their partition are, FAILING the keys that fail now.
    """
    from platform_events.cli.views.subscriptions import print_subscriptions, subscription_document
    from platform_events.workers.status import list_subscriptions

    with connection.bus() as bus:
        found = list_subscriptions(bus)
    for one in found:
        for trouble in one.troubles:
            note(f"{one.name}: {trouble}")
    documents = [subscription_document(one) for one in found]
    if as_json:
        print_json(documents)
    elif documents:
        print_subscriptions(documents)
    else:
        tenant = bus.settings.tenant
        note(f"tenant {tenant!r} has no subscriptions; a worker makes its own at its first start")


@subscriptions.command(
    cls=Command,
    examples=(
        "platform-events subscriptions show billing",
        "platform-events subscriptions show billing --json | jq .position",
    ),
)
@_name
@json_option
@click.pass_obj
def show(connection: Connection, name: str, as_json: bool) -> None:
    """Show one subscription: how far it is, and who works for it.

    POSITION is a replay ID: everything before it is handled.
    """
    from platform_events.cli.views.subscriptions import print_subscription, subscription_document
    from platform_events.workers.status import show_subscription

    with connection.bus() as bus:
        found = show_subscription(bus, name)
    for trouble in found.troubles:
        note(f"{name}: {trouble}")
    document = subscription_document(found)
    if as_json:
        print_json(document)
    else:
        print_subscription(document)


@subscriptions.command(
    cls=Command,
    examples=(
        "platform-events subscriptions seek billing --to earliest",
        "platform-events subscriptions seek billing --to 2h",
        "platform-events subscriptions seek billing --to AAAAAAAAACpd3g",
    ),
)
@_name
@click.option(
    "--to",
    "target",
    type=parse_target,
    required=True,
    metavar="PLACE",
    help="earliest, latest, a replay ID (the event after it comes first), a time (ISO 8601 with "
    "zone) or an age (90s, 15m, 2h, 3d).",
)
@click.pass_obj
def seek(connection: Connection, name: str, target: Start | datetime | ReplayId) -> None:
    """Have a subscription go on elsewhere in its stream.

    Events after PLACE are handled again, those before it are passed over; dead letters stay. It
    waits up to 10 seconds for workers and prints {"subscription", "generation", "applied",
    "pending_partitions"}. What is pending then is applied by the workers of these partitions, as
    soon as there are some.
    """
    from platform_events.workers import control

    _command(connection, name, lambda bus: control.seek(bus, name, target))


@subscriptions.command(cls=Command, examples=("platform-events subscriptions pause billing",))
@_name
@click.pass_obj
def pause(connection: Connection, name: str) -> None:
    """Have workers begin with no further event until `resume`.

    Waits and prints as `seek` does.
    """
    from platform_events.workers import control

    _command(connection, name, lambda bus: control.pause(bus, name))


@subscriptions.command(cls=Command, examples=("platform-events subscriptions resume billing",))
@_name
@click.pass_obj
def resume(connection: Connection, name: str) -> None:
    """Have workers go on after `pause`, and with keys that a failure stopped.

    Waits and prints as `seek` does.
    """
    from platform_events.workers import control

    _command(connection, name, lambda bus: control.resume(bus, name))


@subscriptions.command(
    cls=Command,
    examples=(
        "platform-events subscriptions delete billing",
        "platform-events subscriptions delete billing --yes",
    ),
)
@_name
@click.option("--yes", is_flag=True, help="Confirm what would be asked.")
@click.pass_obj
def delete(connection: Connection, name: str, yes: bool) -> int:
    """Delete a subscription: its position, and its dead letters with their events.

    Workers that run for it end with exit status 3. The stream stays as it is.
    """
    from platform_events.workers import control
    from platform_events.workers.status import count_dead_letters

    with connection.bus() as bus:
        letters = count_dead_letters(bus, name)
        loss = f"deletes subscription {name}: its position and {letters:,} dead letters go"
        if not (yes or ask([loss])):
            note("nothing was changed")
            return FAILED
        control.delete(bus, name)
    print_line(f"subscription {name} is deleted")
    return 0


def _command(connection: Connection, name: str, act: Callable[[EventBus], int]) -> None:
    """Do what has a generation, wait for workers to apply it, and tell what came of it."""
    from platform_events.workers.status import await_applied

    with connection.bus() as bus:
        generation = act(bus)
        try:
            pending, is_worked_for = await_applied(bus, name, generation, _WAIT)
        except KeyboardInterrupt:
            note("interrupted; it is commanded, and workers apply it")
            raise
    print_json(
        {
            "subscription": name,
            "generation": generation,
            "applied": not pending,
            "pending_partitions": pending,
        }
    )
    if pending and not is_worked_for:
        note(f"nobody works for {name}: its workers apply it when they start")
    elif pending:
        note(f"not applied within {_WAIT:g} s: the workers of these partitions do it when they can")
