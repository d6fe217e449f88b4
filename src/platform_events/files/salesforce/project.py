"""All files of a project together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from platform_events.errors import DefinitionsError, Problem
from platform_events.files.document import in_order
from platform_events.files.salesforce.channels import make_channels
from platform_events.files.salesforce.elements import Element, Findings, read_element
from platform_events.files.salesforce.events import EventMetadata, make_event
from platform_events.names import NAME_RULE, is_event_name

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import PurePath

_OBJECT = ".object"
_FIELD = ".field"
_CHANNEL = ".platformEventChannel"
_MEMBER = ".platformEventChannelMember"
_KINDS = {
    _OBJECT: "CustomObject",
    _FIELD: "CustomField",
    _CHANNEL: "PlatformEventChannel",
    _MEMBER: "PlatformEventChannelMember",
}
_OTHER_KINDS = {
    ".eventRelay": "an event relay",
    ".managedEventSubscription": "a managed subscription",
    ".platformEventSubscriberConfig": "a configuration of an Apex trigger",
}
"""Other metadata about events."""


@dataclass(frozen=True, slots=True)
class MetadataFile:
    """One file of a Salesforce project."""

    place: str
    """Its path as the user would name it."""
    path: PurePath
    """Its whole path: in source format a folder names the event of a field."""
    content: bytes

    @property
    def name(self) -> str:
        """Of the component that it defines, such as `Order_Placed__e`."""
        return _split(self.path.name)[0]

    @property
    def suffix(self) -> str:
        """Of the component's kind, such as `.object`."""
        return _split(self.path.name)[1]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a project's metadata."""

    events: tuple[dict[str, Any], ...]
    """Event definitions as documents, by name."""
    channels: tuple[dict[str, Any], ...]
    """Channel definitions as documents, by name."""
    remarks: tuple[Problem, ...]
    """What has no counterpart, in file and line order."""


def is_metadata(file_name: str) -> bool:
    """Whether a file of that name is of interest here."""
    return _split(file_name)[1] in (*_KINDS, *_OTHER_KINDS)


def import_metadata(files: Iterable[MetadataFile]) -> Imported:
    """Make definitions of the events and channels that files of metadata describe.

    Raises:
        DefinitionsError: files cannot be read or define one name twice; with all problems.
    """
    project = _Project()
    for file in files:
        project.add(file)
    findings = project.findings
    made = (make_event(one, findings) for _, one in sorted(project.events.items()))
    events = {one["event"]: one for one in made if one is not None}
    types = {one.name: one.field_types() for one in project.events.values()}
    channels = list(make_channels(project.channels, project.members, events, types, findings))
    if findings.problems:
        raise DefinitionsError(in_order(findings.problems))
    return Imported(tuple(events.values()), tuple(channels), tuple(in_order(findings.remarks)))


@dataclass(slots=True)
class _Project:
    """The parts of a project, sorted by what they are."""

    findings: Findings = field(default_factory=Findings)
    events: dict[str, EventMetadata] = field(default_factory=dict)
    channels: dict[str, Element] = field(default_factory=dict)
    members: list[Element] = field(default_factory=list)
    _first: dict[str, str] = field(default_factory=dict)
    """Files by the names that they define, in lower case."""
    _left_out: set[str] = field(default_factory=set)
    """Objects that are no events and were remarked on."""

    def add(self, file: MetadataFile) -> None:
        """Read one file."""
        event = file.path.parent.parent.name if file.suffix == _FIELD else file.name
        if file.suffix in _OTHER_KINDS:
            self._leave_out(file, f"{file.name} is {_OTHER_KINDS[file.suffix]}")
            return
        if file.suffix in (_OBJECT, _FIELD) and not is_event_name(event):
            if event not in self._left_out:
                self._left_out.add(event)
                self._leave_out(file, _explain_object(event))
            return
        root = read_element(file.place, file.content, _KINDS[file.suffix], self.findings)
        if root is None:
            return
        if file.suffix == _FIELD:
            self.events.setdefault(event, EventMetadata(event)).fields.append(root)
        elif file.suffix == _MEMBER:
            self.members.append(root)
        elif not self._is_first(file, root):
            return
        elif file.suffix == _CHANNEL:
            self.channels[file.name] = root
        else:
            metadata = self.events.setdefault(event, EventMetadata(event))
            metadata.root = root
            metadata.fields += root.all("fields")

    def _is_first(self, file: MetadataFile, root: Element) -> bool:
        """Whether a file is the first to define its name; if not, that is a problem."""
        first = self._first.setdefault(file.name.lower(), file.place)
        if first != file.place:
            self.findings.add_problem(
                root, f"{file.name} is defined in {first} too; leave one of the two out"
            )
        return first == file.place

    def _leave_out(self, file: MetadataFile, reason: str) -> None:
        self.findings.remarks.append(Problem(file.place, f"{reason}; left out"))


def _explain_object(name: str) -> str:
    if name.endswith("__e"):
        return f"{name} cannot name an event here ({NAME_RULE})"
    return f"{name} is no platform event"


def _split(file_name: str) -> tuple[str, str]:
    """Return the name of a component and the suffix of its kind."""
    name, dot, suffix = file_name.removesuffix("-meta.xml").rpartition(".")
    return name, dot + suffix
