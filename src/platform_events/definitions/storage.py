"""What fits into the catalog: each definition and each schema is one record of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from platform_events.definitions.model import EventDefinition

if TYPE_CHECKING:
    from platform_events.definitions.model import Definition

MAX_STORED = 1 << 20
"""Bytes of a record at most: topics take a little more in one batch."""
_HISTORY = 128 * 1024
"""Bytes kept free for the IDs of the schemas and topics that a name had, some thousands."""
_OFFSET = 20
"""Bytes of an offset at most, with what separates it from the next."""


def explain_excess(definition: Definition, member_partitions: int = 0) -> str:
    """Say what of a definition takes more room than a record has; empty if all of it fits.

    `member_partitions` are those of all members of a channel: each has its start in the record.
    """
    if isinstance(definition, EventDefinition):
        schema = len(definition.schema.text.encode())
        if schema > MAX_STORED:
            return (
                f"the schema takes {schema:,} bytes in the catalog, where at most {MAX_STORED:,} "
                "fit; shorten docs or split the event"
            )
    size = len(json.dumps(definition.to_json(), ensure_ascii=False).encode())
    # Wanted and active; of a channel also what its routers read of each member.
    copies = 2 if isinstance(definition, EventDefinition) else 3
    size = copies * size + _OFFSET * member_partitions
    if size > MAX_STORED - _HISTORY:
        return (
            f"the definition takes up to {size:,} bytes in the catalog, where at most "
            f"{MAX_STORED - _HISTORY:,} fit; shorten its texts"
            + ("" if copies == 2 else " and filters, or have fewer members or partitions")
        )
    return ""
