"""Salesforce metadata for tests, in the shapes that Salesforce writes."""

from __future__ import annotations

from pathlib import PurePosixPath
from xml.sax.saxutils import escape

from platform_events.files.salesforce import MetadataFile

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
ROOT = PurePosixPath("/project")
OBJECTS = "force-app/main/default/objects"


def tags(**values: str) -> str:
    """Return elements in the order of their names, as Salesforce writes them."""
    return "".join(
        f"    <{name}>{escape(value)}</{name}>\n" for name, value in sorted(values.items())
    )


def document(kind: str, content: str) -> str:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return f'{head}<{kind} xmlns="{NAMESPACE}">\n{content}</{kind}>\n'


def field(name: str, kind: str, **more: str) -> str:
    """Return what is in a field's file."""
    flags = ("externalId", "isFilteringDisabled", "isNameField", "isSortingDisabled", "unique")
    usual = dict.fromkeys(flags, "false") | {"label": name.removesuffix("__c")}
    return tags(**usual | more, fullName=name, type=kind)


def event(content: str = "", **more: str) -> str:
    """Return an object's file; the content is its fields in metadata format."""
    usual = {"deploymentStatus": "Deployed", "eventType": "HighVolume", "label": "An event"}
    usual |= {"pluralLabel": "Events", "publishBehavior": "PublishImmediately"}
    return document("CustomObject", tags(**usual | more) + content)


def fields(*contents: str) -> str:
    """Return fields as they are in an object's file in metadata format."""
    return "".join(f"<fields>\n{content}</fields>\n" for content in contents)


def channel(**more: str) -> str:
    return document("PlatformEventChannel", tags(**{"channelType": "event", "label": "C"} | more))


def member(channel: str, event: str, content: str = "", expression: str = "") -> str:
    if expression:
        content += f"<filterExpression><![CDATA[{expression}]]>\n    </filterExpression>\n"
    ends = tags(eventChannel=channel, selectedEntity=event)
    return document("PlatformEventChannelMember", content + ends)


def source_format(name: str, *contents: str, **more: str) -> dict[str, str]:
    """Return the files of one event: object and fields."""
    files = {f"{OBJECTS}/{name}/{name}.object-meta.xml": event(**more)}
    for number, content in enumerate(contents):
        path = f"{OBJECTS}/{name}/fields/F{number}.field-meta.xml"
        files[path] = document("CustomField", content)
    return files


def as_files(files: dict[str, str | bytes] | dict[str, str]) -> list[MetadataFile]:
    return [
        MetadataFile(
            place, ROOT / place, content if isinstance(content, bytes) else content.encode()
        )
        for place, content in files.items()
    ]
