"""Applies that end at a certain step, and what the catalog says after."""

from __future__ import annotations

from typing import Any

import pytest

from platform_events.catalog.apply import read_catalog
from platform_events.catalog.state import Entry
from platform_events.kafka.admin import Admin
from platform_events.kafka.ledger import LedgerWriter
from platform_events.settings import Settings


class Killed(BaseException):
    """Stands for the end of the process at this very point."""


def interrupt(patch: pytest.MonkeyPatch, step: str, count: int, when: str) -> None:
    """End an apply before or after its call number `count` of this kind."""
    owner: Any = Admin if hasattr(Admin, step) else LedgerWriter
    original = getattr(owner, step)
    calls = 0

    def interrupted(*args: Any) -> Any:
        nonlocal calls
        # A check of the fence is a commit too.
        calls += step != "commit" or "fence" not in args[1]
        if calls == count and when == "before":
            raise Killed
        result = original(*args)
        if calls == count:
            raise Killed
        return result

    patch.setattr(owner, step, interrupted)


def entry_of(settings: Settings, name: str) -> Entry:
    with Admin(settings) as admin:
        return read_catalog(settings, admin).entries[name]
