"""Asking whoever sits at the terminal before something goes for good."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from platform_events.cli.terminal.messages import note
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def ask(asks: Sequence[str]) -> bool:
    """Return whether somebody at the terminal agrees to all of this; nothing needs no agreement.

    Raises:
        UsageError: nobody can be asked.
        click.Abort: the question was left.
    """
    if not asks:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            f"{'; '.join(asks)}: nobody can be asked without a terminal, confirm with --yes"
        )
    for line in asks:
        note(line)
    return click.confirm("Go on?", err=True)
