"""What every directory of definitions begins with, and the text of a definition's file."""

from __future__ import annotations

import io
import re
import unicodedata
from importlib import resources
from typing import TYPE_CHECKING, Any

from platform_events.definitions.model import DEFAULT_PROJECT
from platform_events.files.editor_schema import (
    CHANNEL_SCHEMA,
    DIRECTORY,
    EVENT_SCHEMA,
    PROJECT_SCHEMA,
)
from platform_events.files.loader import CHANNELS
from platform_events.files.sources import PROJECT_FILE

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_LONGEST_NAME = 80
"""Characters of a project's name."""
_WIDTH = 100
"""Columns of a line, where text can be broken."""


def starting_files(folder: str) -> dict[str, str]:
    """Return project file and editors' schemas: path below the directory, and content.

    `folder`: name of the directory above, after which the project is named.
    """
    package = resources.files("platform_events.files")
    project = package.joinpath("example", PROJECT_FILE).read_text(encoding="utf-8")
    files = {
        f"{DIRECTORY}/{name}": package.joinpath(name).read_text(encoding="utf-8")
        for name in (CHANNEL_SCHEMA, EVENT_SCHEMA, PROJECT_SCHEMA)
    }
    unnamed = f"\nproject: {DEFAULT_PROJECT}\n"
    files[PROJECT_FILE] = project.replace(unnamed, f"\nproject: {_name_project(folder)}\n")
    return files


def example_files() -> dict[str, str]:
    """Return the definitions to start from: path below the directory, and content."""
    files = _files_below(resources.files("platform_events.files").joinpath("example"))
    return {
        name: source.read_text(encoding="utf-8")
        for name, source in files.items()
        if name != PROJECT_FILE
    }


def _files_below(folder: Traversable, path: str = "") -> dict[str, Traversable]:
    files: dict[str, Traversable] = {}
    for source in folder.iterdir():
        name = path + source.name
        files |= _files_below(source, f"{name}/") if source.is_dir() else {name: source}
    return files


def definition_file(document: dict[str, Any]) -> tuple[str, str]:
    """Return where the file of an event or a channel belongs below the directory, and its text."""
    if "event" in document:
        return f"{document['event']}.yaml", _definition_text(
            document, f"{DIRECTORY}/{EVENT_SCHEMA}"
        )
    schema = f"../{DIRECTORY}/{CHANNEL_SCHEMA}"
    return f"{CHANNELS}/{document['channel']}.yaml", _definition_text(document, schema)


def _definition_text(document: dict[str, Any], schema: str) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = _WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(_on_one_line(document), text)
    # Where the writer breaks a line it leaves a blank, which means nothing.
    body = re.sub(r" +$", "", text.getvalue(), flags=re.MULTILINE)
    return f"# yaml-language-server: $schema={schema}\n{body}"


def _on_one_line(value: Any) -> Any:
    """Return a value whose lists of words, such as unions of types, are written on one line."""
    from ruamel.yaml.comments import CommentedSeq

    if isinstance(value, dict):
        return {key: _on_one_line(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    items = CommentedSeq(map(_on_one_line, value))
    if all(isinstance(item, str) for item in value):
        items.fa.set_flow_style()
    return items


def _name_project(folder: str) -> str:
    """Return a name that a project may have, as near to that of a folder as can be."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_NAME].strip("-")
    return name if name not in ("", DEFAULT_PROJECT) else "my-project"
