"""JSON Schemas of the definition files, for completion and checks in editors.

They are made from the tables that the loader uses. They accept whatever the loader accepts; what
JSON Schema cannot express, such as whether a type's name is known, only the loader refuses.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from platform_events.definitions.changes import COMPATIBILITIES
from platform_events.definitions.durations import DURATION_PATTERN, format_duration
from platform_events.definitions.model import DEFAULT_RETENTION
from platform_events.files.notation import (
    AVRO_PATH,
    CHANNEL_KEYS,
    COMPLEX_KEYS,
    DECIMAL_KEYS,
    EVENT_KEYS,
    FIELD_KEYS,
    FREE_PREFIX,
    MAX_FIXED,
    MAX_PARTITIONS,
    MEMBER_KEYS,
    MEMBER_STARTS,
    OPTIONAL_KEY,
    PROJECT,
    PROJECT_KEYS,
    RESERVED_TYPE_NAMES,
)
from platform_events.names import CHANNEL_NAME, EVENT_NAME, MAX_NAME_LENGTH
from platform_events.payloads.kinds import LOGICAL_TYPES, PRIMITIVES
from platform_events.payloads.type_names import FULL_NAME, NAME
from platform_events.payloads.types import MAX_PRECISION

if TYPE_CHECKING:
    from pathlib import Path

    from platform_events.files.notation import Key

EVENT_SCHEMA = "event.schema.json"
CHANNEL_SCHEMA = "channel.schema.json"
PROJECT_SCHEMA = "project.schema.json"
DIRECTORY = ".schema"
"""Where a directory of definitions keeps them; hidden, so the loader leaves it alone."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string"}
_TYPE = {"$ref": "#/$defs/type"}


def _text_like(pattern: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$", **more}


_RULES: dict[str, dict[str, Any]] = {
    "event": _text_like(EVENT_NAME.pattern, maxLength=MAX_NAME_LENGTH),
    "channel": _text_like(CHANNEL_NAME.pattern, maxLength=MAX_NAME_LENGTH),
    "members": {"type": "array", "items": {"$ref": "#/$defs/member"}, "minItems": 1},
    "filter": {"type": "string", "pattern": r"\S"},
    "from": {"enum": list(MEMBER_STARTS), "default": MEMBER_STARTS[0]},
    "project": _text_like(PROJECT),
    "retention": _text_like(DURATION_PATTERN, default=format_duration(DEFAULT_RETENTION)),
    "partitions": {"type": "integer", "minimum": 1, "maximum": MAX_PARTITIONS, "default": 1},
    "compatibility": {"enum": list(COMPATIBILITIES), "default": COMPATIBILITIES[0]},
    "fields": {"type": "array", "items": {"$ref": "#/$defs/field"}},
    "avro": _text_like(AVRO_PATH),
    "name": _text_like(FULL_NAME),
    "namespace": _text_like(f"({FULL_NAME})?"),
    "aliases": {"type": "array", "items": _text_like(FULL_NAME)},
    "symbols": {
        "type": "array",
        "items": _text_like(NAME),
        "minItems": 1,
        "uniqueItems": True,
    },
    "size": {"type": "integer", "minimum": 1, "maximum": MAX_FIXED},
    "items": _TYPE,
    "values": _TYPE,
    "precision": {"type": "integer", "minimum": 1, "maximum": MAX_PRECISION},
    "scale": {"type": "integer", "minimum": 0, "maximum": MAX_PRECISION},
    "optional": {"type": "boolean"},
    "type": _TYPE,
    "default": {},
}
"""What a key's value must be; text, if it is not here."""


def event_schema() -> dict[str, Any]:
    """Return the JSON Schema of an event's file (draft 2020-12)."""
    return {
        "$schema": _DIALECT,
        "title": "Event definition",
        **_mapping(EVENT_KEYS),
        "oneOf": [{"required": ["fields"]}, {"required": ["avro"]}],
        "if": {"properties": {"partitions": {"minimum": 2}}, "required": ["partitions"]},
        "then": {"required": ["partition_key"]},
        "$defs": {
            "field": _mapping((*FIELD_KEYS, OPTIONAL_KEY), name=_text_like(NAME)),
            "type": {"anyOf": [{"$ref": "#/$defs/branch"}, {"$ref": "#/$defs/union"}]},
            "union": {
                "description": "One of several types.",
                "type": "array",
                "items": {"$ref": "#/$defs/branch"},
                "minItems": 1,
            },
            "branch": {"anyOf": [*_names(), *_primitive_objects(), *_complex_objects()]},
        },
    }


def channel_schema() -> dict[str, Any]:
    """Return the JSON Schema of a channel's file (draft 2020-12)."""
    retention = {key: value for key, value in _RULES["retention"].items() if key != "default"}
    return {
        "$schema": _DIALECT,
        "title": "Channel definition",
        **_mapping(CHANNEL_KEYS, retention=retention),
        "$defs": {"member": _mapping(MEMBER_KEYS)},
    }


def project_schema() -> dict[str, Any]:
    """Return the JSON Schema of `project.yaml` (draft 2020-12)."""
    return {"$schema": _DIALECT, "title": "Project", **_mapping(PROJECT_KEYS)}


def header(schema: str) -> str:
    """Return the comment that tells editors the schema of a file beside `DIRECTORY`."""
    return f"# yaml-language-server: $schema={DIRECTORY}/{schema}"


def write_schemas(directory: Path) -> list[Path]:
    """Write all schemas into a directory, which is made if need be; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in (
        (EVENT_SCHEMA, event_schema()),
        (CHANNEL_SCHEMA, channel_schema()),
        (PROJECT_SCHEMA, project_schema()),
    ):
        path = directory / name
        path.write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _mapping(keys: tuple[Key, ...], **rules: Any) -> dict[str, Any]:
    """Return the schema of a mapping with these keys; `rules` replace those of the table."""
    properties = {
        key.name: {"description": key.meaning, **rules.get(key.name, _RULES.get(key.name, _TEXT))}
        for key in keys
    }
    fixed = {name: rule for name, rule in rules.items() if name not in properties}
    return {
        "type": "object",
        "properties": fixed | properties,
        "patternProperties": {f"^{FREE_PREFIX}": True},
        "additionalProperties": False,
        "required": [*fixed, *(key.name for key in keys if key.required)],
    }


def _names() -> list[dict[str, Any]]:
    return [
        {"description": "A primitive type.", "enum": list(PRIMITIVES)},
        {"description": "The type null, as YAML writes it without quotes.", "type": "null"},
        {
            "description": "A type defined before, by its name.",
            **_text_like(FULL_NAME),
            "not": {"enum": sorted(RESERVED_TYPE_NAMES)},
        },
    ]


def _primitive_objects() -> list[dict[str, Any]]:
    found = [
        {
            "description": "A type by its name.",
            **_mapping((), type={"anyOf": _names()[:1] + _names()[2:]}),
        }
    ]
    for name, logical in LOGICAL_TYPES.items():
        bases = [base for base in logical.bases if base in PRIMITIVES]
        keys = DECIMAL_KEYS if name == "decimal" else ()
        mapping = _mapping(keys, type={"enum": bases}, logicalType={"const": name})
        found.append({"description": logical.meaning, **mapping})
    return found


def _complex_objects() -> list[dict[str, Any]]:
    found = []
    for name, keys in COMPLEX_KEYS.items():
        rules: dict[str, Any] = {"type": {"const": name}}
        if name == "enum":
            rules["default"] = _TEXT
        mapping = _mapping(keys, **rules)
        if name == "fixed":
            logical = {"enum": [key for key, it in LOGICAL_TYPES.items() if name in it.bases]}
            optional = {key.name: _RULES[key.name] for key in DECIMAL_KEYS}
            mapping["properties"] |= {"logicalType": logical, **optional}
        found.append(mapping)
    return found
