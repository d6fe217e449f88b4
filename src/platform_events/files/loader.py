"""Load the definitions of a directory.

```
schemas/
  project.yaml            names the project; optional
  Order_Placed__e.yaml    one event per file, here or in directories of any name
  billing/Paid__e.yaml    may name an .avsc file instead of listing fields
  channels/
    Sales__chn.yaml       one channel per file, here or in directories below
  types/                  reserved
```

Hidden files and directories are left alone.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from platform_events.definitions.model import DEFAULT_PROJECT, Definitions
from platform_events.errors import DefinitionsError, Problem, UsageError
from platform_events.files.channel_file import KnownEvents, read_channel
from platform_events.files.document import Node, Report, TooManyProblemsError, decode_text, in_order
from platform_events.files.event_file import read_event, read_project
from platform_events.files.json_document import read_json
from platform_events.files.sources import (
    PROJECT_FILE,
    Directory,
    FileError,
    FileTree,
    advise_on_nothing,
    open_tree,
)
from platform_events.files.yaml_document import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from platform_events.definitions.model import ChannelDefinition, Definition, EventDefinition

CHANNELS = "channels"
"""The directory in which channels are defined."""
_TYPES = "types"


def load_definitions(path: Path) -> Definitions:
    """Load the definitions in a directory, or the one in a file.

    With a file, the project is that of a `project.yaml` beside it.

    Raises:
        DefinitionsError: with every problem of every file, in file and line order.
    """
    return read_definitions(open_tree(path))


def load_project(path: Path) -> Definitions:
    """Load all that a project defines, to delete what is not there; it may be nothing any more.

    Raises:
        UsageError: it is only a part of a project, or the project has no name of its own.
        DefinitionsError: with every problem of every file, in file and line order.
    """
    tree = open_tree(path)
    rule = "--prune deletes what is not defined in PATH"
    if path.is_file():
        raise UsageError(f"{rule}, and {path} is one file; give the project's whole directory")
    project = _project_of(path)
    for outer in path.resolve().parents:
        name = _project_of(outer)
        if name is not None and project in (None, name):
            raise UsageError(
                f"{rule}, and {path} is only a part of the project {name}; give its whole "
                f"directory, {outer}"
            )
    definitions = read_definitions(tree, allow_empty=True)
    if definitions.project == DEFAULT_PROJECT:
        raise UsageError(
            "--prune needs a project with a name of its own, since all that give none share "
            f"{DEFAULT_PROJECT}: write `project: NAME` into {path / PROJECT_FILE}"
        )
    return definitions


def _project_of(folder: Path) -> str | None:
    """Return the name in a directory's project file; None if there is none, or not of ours."""
    if not (folder / PROJECT_FILE).is_file():
        return None
    loader = _Loader(Directory(folder))
    name = loader.read_project()
    return None if loader.problems else name


def read_definitions(tree: FileTree, *, allow_empty: bool = False) -> Definitions:
    """Read the definitions among the files of a tree.

    Raises:
        DefinitionsError: with every problem of every file, in file and line order.
    """
    definitions, problems = read_readable(tree)
    names = tree.names()
    if not names or (names == [PROJECT_FILE] and not allow_empty):
        hint = advise_on_nothing(Path(tree.place))
        if names:
            hint += ", and if all were removed, plan and apply delete them with --prune"
        problems.append(Problem(tree.place, f"no event is defined here; {hint}"))
    if problems:
        raise DefinitionsError(in_order(problems))
    return definitions


def read_readable(tree: FileTree) -> tuple[Definitions, list[Problem]]:
    """Return what can be read of the definitions in a tree, and every problem of the others."""
    loader = _Loader(tree)
    project = DEFAULT_PROJECT
    events: list[EventDefinition] = []
    channels: list[ChannelDefinition] = []
    # Channels last: they are checked with the events that they consist of.
    for name in sorted(tree.names(), key=_is_in_channels):
        if name == PROJECT_FILE:
            project = loader.read_project() or project
        elif _is_in_channels(name):
            channel = loader.read_channel(name, events)
            if channel is not None:
                channels.append(channel)
        else:
            event = loader.read_event(name)
            if event is not None:
                events.append(event)
    loader.problems += _name_clashes(events, "event") + _name_clashes(channels, "channel")
    definitions = Definitions(
        project,
        {event.name: event for event in events},
        {channel.name: channel for channel in channels},
    )
    return definitions, loader.problems


def _is_in_channels(name: str) -> bool:
    return name.startswith(f"{CHANNELS}/")


class _Loader:
    def __init__(self, tree: FileTree) -> None:
        self._tree = tree
        self.problems: list[Problem] = []
        self._names: set[str] = set()
        self._complete = True

    def read_project(self) -> str | None:
        report = Report(self._tree.show(PROJECT_FILE))
        root = self._read(PROJECT_FILE, read_yaml, report)
        project = None
        with suppress(TooManyProblemsError):
            project = read_project(root, report) if root else None
        self.problems += report.problems
        return project

    def read_event(self, name: str) -> EventDefinition | None:
        report = Report(self._tree.show(name))
        avro_reports: list[Report] = []
        event = None
        if name.startswith(f"{_TYPES}/"):
            report.add_file(
                "the directory types is reserved for shared types, which this version does not have"
            )
        elif name == "project.yml":
            report.add_file(f"the project's file is named {PROJECT_FILE}; rename it")
        elif root := self._read(name, read_yaml, report):
            self._note_name(root)
            channel = root.get("channel")
            if channel is not None and root.get("event") is None:
                report.add_key(channel, self._explain_channel(name))
            else:
                with suppress(TooManyProblemsError):
                    event = read_event(
                        root, report, lambda path: self._open_avro(name, path, report, avro_reports)
                    )
        else:
            self._complete = False
        for part in (report, *avro_reports):
            self.problems += part.problems
        return event

    def read_channel(self, name: str, events: list[EventDefinition]) -> ChannelDefinition | None:
        report = Report(self._tree.show(name))
        channel = None
        if root := self._read(name, read_yaml, report):
            self._note_name(root)
            known = {event.name: event for event in events}
            with suppress(TooManyProblemsError):
                channel = read_channel(
                    root, report, KnownEvents(known, self._names, self._complete)
                )
        self.problems += report.problems
        return channel

    def _note_name(self, root: Node) -> None:
        name = root.get("event")
        if name is not None and isinstance(name.value, str):
            self._names.add(name.value)

    def _explain_channel(self, name: str) -> str:
        place = self._tree.place
        if place == self._tree.show(name) or PurePosixPath(place).name == CHANNELS:
            return (
                "a channel is checked together with its members: give the directory above "
                f"{CHANNELS}/"
            )
        target = f"{CHANNELS}/{PurePosixPath(name).name}"
        return f"channels belong in the directory {CHANNELS}/; move the file to {target}"

    def _read(
        self, name: str, parse: Callable[[str, Report], Node | None], report: Report
    ) -> Node | None:
        try:
            data = self._tree.read(name)
        except FileError as error:
            report.add_file(str(error))
            return None
        text = decode_text(data, report)
        try:
            return None if text is None else parse(text, report)
        except TooManyProblemsError:
            return None

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


def _name_clashes(definitions: Iterable[Definition], key: str) -> list[Problem]:
    first: dict[str, Definition] = {}
    problems = []
    for one in definitions:
        other = first.setdefault(one.name.lower(), one)
        if other is one:
            continue
        place = f"{other.file}:{other.line}"
        if other.name == one.name:
            message = f"{one.name} is already defined in {place}"
        else:
            message = f"{one.name} differs only in case from {other.name} in {place}"
        problems.append(Problem(one.file, message, one.line, path=key))
    return problems
