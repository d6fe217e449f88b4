"""How a name goes out of use: retired in the catalog first, its topics deleted later.

Publishers follow the catalog and stop within a second. One that does not hear of it, because it
was stopped or cut off, may go on; it knows how old its knowledge is, and does not vouch for what it
stored after that.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.catalog.changes import Action, Change, TopicChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from platform_events.catalog.state import Entry
    from platform_events.catalog.topics import TopicFacts
    from platform_events.definitions.model import Definition

RETIRED_FOR = 5.0
"""Seconds from a name's retirement until its topics are deleted."""
TRUSTED_FOR = 4.0
"""Seconds for which what the catalog said counts; less than the above, as clocks differ."""


def retire(entry: Entry, wanted: Definition | None) -> Entry:
    """Return what the catalog says of a name whose topics go; `wanted` is what comes after."""
    return replace(entry, wanted=wanted, active=None, unreadable="", retired=True)


def delete_entry(
    entry: Entry, detail: str, names: Iterable[str], topics: Mapping[str, TopicFacts | None]
) -> Change:
    """Return the deletion of an event or channel, with those of its topics that are there.

    `detail` says it in words.
    """
    present = [name for name in names if topics.get(name) is not None]
    return Change(
        Action.DELETE,
        entry.name,
        (detail,),
        asks=(detail,),
        entry=retire(entry, None),
        topics=tuple(TopicChange(name, delete=True) for name in present),
    )


def is_retired(entry: Entry | None, topic_id: str) -> bool:
    """Whether a topic is one that goes, because an apply that retired its name did not finish."""
    return entry is not None and entry.retired and topic_id in entry.topic_ids
