"""`platform-events apply`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command, change_options, definitions_path, json_option
from platform_events.cli.terminal.confirmation import ask
from platform_events.cli.terminal.failures import FAILED
from platform_events.cli.terminal.messages import note
from platform_events.cli.terminal.output import print_json, print_line, print_lines
from platform_events.errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from platform_events.catalog.plan import Change, Plan
    from platform_events.cli.connection import Connection
    from platform_events.cli.views.activation import Activation
    from platform_events.settings import Settings


_LOOK_EVERY = 0.5
"""Seconds between two looks for a Kafka that is waited for."""
_TOO_FEW_BROKERS = ("INVALID_REPLICATION_FACTOR",)
"""What Kafka says while not all brokers have started."""


@click.command(
    cls=Command,
    examples=(
        "platform-events apply",
        "platform-events apply schemas --prune --yes",
        "platform-events apply --replace Order_Placed__e",
        "platform-events apply /schemas --wait 120",
    ),
)
@definitions_path
@change_options
@click.option("--yes", is_flag=True, help="Confirm what would be asked.")
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.IntRange(0, 86_400),
    default=0,
    help="Try again for so long while Kafka, or some of its brokers, cannot be reached. Without "
    "it, that is a failure at once.",
)
@json_option
@click.pass_obj
def apply(
    connection: Connection,
    path: Path,
    prune: bool,
    replace: tuple[str, ...],
    allow_partition_growth: bool,
    yes: bool,
    wait: int,
    as_json: bool,
) -> int:
    """Make topics and catalog what the definitions say.

    PATH has the definitions (default: schemas). It shows the plan, asks before events go or change
    hands, and says what was done. One refusal, and nothing is changed. Applying again finishes
    what was interrupted. For a channel whose members or filters change it waits up to 10 seconds
    for the routers that run, and says after which replay ID of the channel the change holds, or
    that it is pending.
    """
    from platform_events.catalog import apply as catalog
    from platform_events.cli.views.plan import done_line, plan_document, plan_lines
    from platform_events.files.loader import load_definitions, load_project

    desired = load_project(path) if prune else load_definitions(path)
    settings = connection.settings()
    options = catalog.plan_options(
        settings, allow_growth=allow_partition_growth, prune=prune, replace=replace
    )
    show = note if as_json else print_line
    declined = False

    def confirm(plan: Plan) -> bool:
        nonlocal declined
        if not as_json:
            print_lines(plan_lines(plan, settings.tenant))
        declined = not (yes or ask(plan.asks))
        return not declined

    def tell(change: Change) -> None:
        show(done_line(change))

    try:
        plan = _patiently(
            lambda: catalog.apply(settings, desired, options, confirm=confirm, progress=tell), wait
        )
    except KeyboardInterrupt:
        note("interrupted; what was begun is finished by applying again")
        raise
    if not plan.effective and not as_json:
        print_lines(plan_lines(plan, settings.tenant))
    activations = {} if declined else _await_routers(settings, plan, show)
    if as_json:
        applied = bool(plan.effective) and not declined
        document = plan_document(plan, settings.tenant, applied=applied)
        for change in document["changes"]:
            if change["name"] in activations:
                change.update(activations[change["name"]].document())
        print_json(document)
    if declined:
        note("nothing was changed")
        return FAILED
    return 0


def _patiently(act: Callable[[], Plan], seconds: float) -> Plan:
    """Do it, again until it is over or the time is, while Kafka or some brokers are away."""
    deadline = time.monotonic() + seconds
    has_told = False
    while True:
        try:
            return act()
        except BrokerError as error:
            is_waited_for = error.retriable or error.kafka_code in _TOO_FEW_BROKERS
            if not is_waited_for or time.monotonic() >= deadline:
                raise
            if not has_told:
                note(f"waiting up to {seconds:g} s: {error.line}")
                has_told = True
            time.sleep(_LOOK_EVERY)


def _await_routers(
    settings: Settings, plan: Plan, show: Callable[[str], None]
) -> dict[str, Activation]:
    from platform_events.cli.views.activation import find_activations

    activations: dict[str, Activation] = {}
    try:
        for activation in find_activations(settings, plan):
            show(activation.line())
            activations[activation.channel] = activation
    except BrokerError as error:
        note(f"applied; what routers do with it is not known: {error}")
    return activations
