"""Load the definitions of a directory.

```
schemas/
  project.yaml            names the project; optional
  Order_Placed__e.yaml    one event per file, here or in directories of any name
  billing/Paid__e.yaml    may name an .avsc file instead of listing fields
  channels/  types/       reserved
```

Hidden files and directories are left alone.
"""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from platform_events.definitions.document import Node, Report, decode_text, in_order
from platform_events.definitions.event_file import read_event, read_project
from platform_events.definitions.files import PROJECT_FILE, FileError, FileTree, open_tree
from platform_events.definitions.json_document import read_json
from platform_events.definitions.model import DEFAULT_PROJECT, Definitions
from platform_events.definitions.yaml_document import read_yaml
from platform_events.errors import DefinitionsError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from platform_events.definitions.model import EventDefinition

_RESERVED = {
    "channels": "channels are not supported by this version; remove the file",
    "types": "the directory types is reserved for shared types, which this version does not have",
}


def load_definitions(path: Path) -> Definitions:
    """Load the definitions in a directory, or the one in a file.

    With a file, the project is that of a `project.yaml` beside it.

    Raises:
        DefinitionsError: with every problem of every file, in file and line order.
    """
    return read_definitions(open_tree(path))


def read_definitions(tree: FileTree) -> Definitions:
    """Read the definitions among the files of a tree.

    Raises:
        DefinitionsError: with every problem of every file, in file and line order.
    """
    loader = _Loader(tree)
    project = DEFAULT_PROJECT
    events: list[EventDefinition] = []
    names = tree.names()
    for name in names:
        if name == PROJECT_FILE:
            project = loader.read_project() or project
        else:
            event = loader.read_event(name)
            if event is not None:
                events.append(event)
    loader.problems += _name_clashes(events)
    if not any(name != PROJECT_FILE for name in names):
        loader.problems.append(
            Problem(
                tree.place,
                "no event is defined here; `platform-events init` writes an example",
            )
        )
    if loader.problems:
        raise DefinitionsError(in_order(loader.problems))
    return Definitions(project, {event.name: event for event in events})


class _Loader:
    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        self.problems: list[Problem] = []

    def read_project(self) -> str | None:
        report = Report(self._tree.show(PROJECT_FILE))
        root = self._read(PROJECT_FILE, read_yaml, report)
        project = read_project(root, report) if root else None
        self.problems += report.problems
        return project

    def read_event(self, name: str) -> EventDefinition | None:
        report = Report(self._tree.show(name))
        avro_reports: list[Report] = []
        event = None
        folder = PurePosixPath(name).parts[0]
        if "/" in name and folder in _RESERVED:
            report.add_file(_RESERVED[folder])
        elif name == "project.yml":
            report.add_file(f"the project's file is named {PROJECT_FILE}; rename it")
        elif root := self._read(name, read_yaml, report):
            event = read_event(
                root, report, lambda path: self._open_avro(name, path, report, avro_reports)
            )
        for part in (report, *avro_reports):
            self.problems += part.problems
        return event

    def _read(
        self, name: str, parse: Callable[[str, Report], Node | None], report: Report
    ) -> Node | None:
        try:
            data = self._tree.read(name)
        except FileError as error:
            report.add_file(str(error))
            return None
        text = decode_text(data, report)
        return None if text is None else parse(text, report)

    def _open_avro(
        self, name: str, path: Node, report: Report, reports: list[Report]
    ) -> tuple[Node, Report] | None:
        folder = posixpath.dirname(name)
        target = posixpath.normpath(posixpath.join(folder, str(path.value)))
        if target.startswith(("../", "/")):
            report.add(path, f"the file must stay inside {self._tree.place}")
            return None
        try:
            data = self._tree.read(target)
        except FileError as error:
            report.add(path, f"{self._tree.show(target)}: {error}")
            return None
        own = Report(self._tree.show(target))
        reports.append(own)
        text = decode_text(data, own)
        root = None if text is None else read_json(text, own)
        return None if root is None else (root, own)


def _name_clashes(events: Iterable[EventDefinition]) -> list[Problem]:
    first: dict[str, EventDefinition] = {}
    problems = []
    for event in events:
        other = first.setdefault(event.name.lower(), event)
        if other is event:
            continue
        place = f"{other.file}:{other.line}"
        if other.name == event.name:
            message = f"{event.name} is already defined in {place}"
        else:
            message = f"{event.name} differs only in case from {other.name} in {place}"
        problems.append(Problem(event.file, message, event.line, path="event"))
    return problems
