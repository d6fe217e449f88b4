"""The file map: every module is in it, and what is in it exists."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, read_page

SOURCES = ROOT / "src" / "platform_events"


def read_map() -> dict[str, set[str]]:
    """Return the rooms of the map with the modules and rooms that it names in each."""
    rooms: dict[str, set[str]] = {"": set()}
    room = ""
    for line in read_page(ROOT / "docs" / "design.md").blocks[0].text.splitlines():
        found = re.match(r"( *)((?:\w+(?:\.py|/)(?:, )?)+)", line)
        if found is None:
            continue
        indent, names = found.groups()
        room = room if indent else ""
        rooms[room].update(names.split(", "))
        if not indent and names.endswith("/"):
            room = names
            rooms[room] = set()
    return rooms


def test_every_module_is_named_or_in_a_room_of_which_nothing_is_named() -> None:
    for room, names in read_map().items():
        folder = SOURCES / room
        modules = {path.name for path in folder.glob("*.py")} - {"__init__.py", "__main__.py"}
        rooms = {f"{path.parent.name}/" for path in folder.glob("*/__init__.py")}
        assert names in (set(), modules | rooms), room
