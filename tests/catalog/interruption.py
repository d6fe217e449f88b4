"""Applies that end at a certain step, and what the catalog says after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from platform_events.catalog.apply import read_catalog
from platform_events.catalog.state import Entry
from platform_events.kafka.admin import Admin
from platform_events.kafka.ledger import LedgerWriter
from platform_events.settings import Settings


class Killed(BaseException):
    """Stands for the end of the process at this very point."""


CHANGES = [(Admin, "create"), (Admin, "configure"), (Admin, "grow"), (Admin, "delete"),
           (LedgerWriter, "commit")]  # fmt: skip


def interrupt(patch: pytest.MonkeyPatch, number: int) -> None:
    """End an apply right before its change of this number, from 1 on, of topics or the catalog.

    The next one finds nothing but what was changed, so there are no other ways to be interrupted.
    """
    changes = 0

    def before(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any) -> Any:
            nonlocal changes
            # A check of the fence is a commit too, and the catalog's own topic is there.
            changes += "fence" not in args[1] and not str(args[1]).endswith(".catalog")
            if changes == number:
                raise Killed
            return change(*args)

        return changed

    for owner, name in CHANGES:
        patch.setattr(owner, name, before(getattr(owner, name)))


def entry_of(settings: Settings, name: str) -> Entry:
    with Admin(settings) as admin:
        return read_catalog(settings, admin).entries[name]
