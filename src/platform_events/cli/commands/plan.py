"""`platform-events plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command, change_options, definitions_path, json_option
from platform_events.cli.terminal.output import print_json, print_lines
from platform_events.errors import PlanRefusedError

if TYPE_CHECKING:
    from pathlib import Path

    from platform_events.cli.connection import Connection

_CHANGES = 3


@click.command(
    cls=Command,
    examples=(
        "platform-events plan",
        "platform-events plan schemas --exit-code --json",
    ),
)
@definitions_path
@click.option(
    "--exit-code",
    "tell_changes",
    is_flag=True,
    help="Exit with 0 if there is nothing to do, 3 if there are changes, 1 if refused or failed.",
)
@change_options
@json_option
@click.pass_obj
def plan(
    connection: Connection,
    path: Path,
    tell_changes: bool,
    prune: bool,
    replace: tuple[str, ...],
    allow_partition_growth: bool,
    as_json: bool,
) -> int:
    """Show what apply would change, without changing anything.

    PATH has the definitions (default: schemas). A plan with refusals exits with 1.
    """
    from platform_events.catalog.apply import plan_options, read_plan
    from platform_events.cli.views.plan import plan_document, plan_lines
    from platform_events.files.loader import load_definitions, load_project

    desired = load_project(path) if prune else load_definitions(path)
    settings = connection.settings()
    options = plan_options(
        settings, allow_growth=allow_partition_growth, prune=prune, replace=replace
    )
    found = read_plan(settings, desired, options)
    if as_json:
        print_json(plan_document(found, settings.tenant))
    else:
        print_lines(plan_lines(found, settings.tenant))
    if found.refusals:
        raise PlanRefusedError(found.refusals)
    return _CHANGES if tell_changes and found.effective else 0
