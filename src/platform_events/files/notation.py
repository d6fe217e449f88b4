"""The tables of what a definition file may say, for the loader and for the editor's schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from platform_events.definitions.durations import DAY, SECOND
from platform_events.definitions.model import MemberStart
from platform_events.payloads.kinds import LOGICAL_TYPES, PRIMITIVES

NAMESPACE = "platform_events"
"""Avro namespace of events that are written in YAML."""
FREE_PREFIX = "x-"
"""Keys that begin so are ignored, in every mapping of a YAML file."""

PROJECT = r"[a-z0-9-]{1,80}"
AVRO_PATH = r"[^\\\x00]+\.avsc"
"""Relative, with / on every system."""

MIN_RETENTION = SECOND
MAX_RETENTION = 3_650 * DAY
MAX_PARTITIONS = 1_000
MEMBER_STARTS: tuple[MemberStart, ...] = get_args(MemberStart)
"""Which events a new member brings; the first is the default."""
KEY_KINDS = ("string", "enum", "uuid", "int", "long")
"""Types that a partition key may have; a logical type counts as itself."""
MAX_FIXED = 1_000_000
"""Bytes of a fixed at most: an event's limit."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a definition file."""

    name: str
    meaning: str
    """One sentence for people, shown by editors."""
    required: bool = False


EVENT_KEYS = (
    Key("event", "Name of the event: the topic's name and the Avro record's.", required=True),
    Key("label", "Name for people, one line."),
    Key("description", "What the event says and when it is published."),
    Key("owner", "Team or person to ask."),
    Key("retention", "How long events are kept and can be replayed, such as 72h (default) or 30d."),
    Key("partitions", "Partitions of the topic; more than 1 needs partition_key. Default 1."),
    Key("partition_key", "Field whose value decides the partition: order holds per value."),
    Key(
        "compatibility",
        "Readers that a new version must not break: full (default: of old and new events), "
        "backward (of old events), forward (of new events) or none.",
    ),
    Key("fields", "The payload's fields in Avro's notation, after the two system fields."),
    Key("avro", "Path of an .avsc file, relative to this one, instead of fields."),
)
CHANNEL_KEYS = (
    Key("channel", "Name of the channel and of its topic.", required=True),
    Key("label", "Name for people, one line."),
    Key("description", "What the channel is for."),
    Key("owner", "Team or person to ask."),
    Key("retention", "How long its events are kept, such as 72h; at least as long as a member's."),
    Key("partitions", "Partitions of the topic; more than 1 only as many as each member has."),
    Key("members", "The events that the channel consists of.", required=True),
)
MEMBER_KEYS = (
    Key("event", "Name of an event of this project.", required=True),
    Key("filter", "Expression that an event has to pass, such as: amount >= 100."),
    Key("from", "Events that a new member brings: earliest, all that are kept (default), or now."),
)
PROJECT_KEYS = (
    Key("project", "Name of the project that owns these definitions.", required=True),
    Key("description", "What the project is."),
)
FIELD_KEYS = (
    Key("name", "Name of the field.", required=True),
    Key("type", "Its Avro type: a name, an object, or a list of branches.", required=True),
    Key("doc", "What the field means."),
    Key("default", "Value if a payload leaves the field out, in Avro's JSON form."),
    Key("aliases", "Other names of the field."),
)
OPTIONAL_KEY = Key("optional", 'True: ["null", type] with default null.')
"""Only in YAML; Avro has no such key."""

_NAMED = (
    Key("name", "Name of the type, to refer to it later.", required=True),
    Key("namespace", "Namespace of the name; inherited if left out."),
    Key("doc", "What the type means."),
    Key("aliases", "Other names of the type."),
)
COMPLEX_KEYS = {
    "record": (*_NAMED, Key("fields", "Its fields.", required=True)),
    "enum": (
        *_NAMED,
        Key("symbols", "The values.", required=True),
        Key("default", "The symbol that readers take for one they do not know."),
    ),
    "fixed": (*_NAMED, Key("size", "Number of bytes.", required=True)),
    "array": (Key("items", "Type of the items.", required=True),),
    "map": (Key("values", "Type of the values; keys are text.", required=True),),
}
"""Keys beside `type`, by the type."""
DECIMAL_KEYS = (
    Key("precision", "Digits in all.", required=True),
    Key("scale", "Digits after the point. Default 0."),
)

JSON_WORDS = {
    "null": "null",
    "boolean": "true or false",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "an object",
}
"""What people call a kind of JSON value."""

COMPLEX_EXAMPLES = {
    "record": "{type: record, name: Address, fields: [...]}",
    "enum": "{type: enum, name: Status, symbols: [OPEN, CLOSED]}",
    "fixed": "{type: fixed, name: Digest, size: 16}",
    "array": "{type: array, items: string}",
    "map": "{type: map, values: string}",
}
_DECIMAL = "{type: bytes, logicalType: decimal, precision: 12, scale: 2}"
_TIMESTAMP = "{type: long, logicalType: timestamp-millis}"
OTHER_WORDS = {
    **dict.fromkeys(("integer", "number"), "int (32 bits), long (64 bits) or double"),
    **dict.fromkeys(("int8", "int16", "int32", "short", "byte", "smallint"), "int"),
    **dict.fromkeys(("int64", "bigint", "uint", "uint32", "unsigned", "serial"), "long"),
    **dict.fromkeys(("bool", "flag", "checkbox"), "boolean"),
    **dict.fromkeys(("str", "text", "varchar", "char", "url", "email", "longtextarea"), "string"),
    **dict.fromkeys(("float32", "real"), "float"),
    **dict.fromkeys(("float64",), "double"),
    **dict.fromkeys(("blob", "binary", "bytearray"), "bytes"),
    **dict.fromkeys(("none", "nil", "void"), '"null"'),
    **dict.fromkeys(("numeric", "money", "currency"), _DECIMAL),
    **dict.fromkeys(("datetime", "timestamp", "instant", "date-time", "timestamptz"), _TIMESTAMP),
    **dict.fromkeys(("time",), "{type: int, logicalType: time-millis}"),
    **dict.fromkeys(("guid",), "{type: string, logicalType: uuid}"),
    **dict.fromkeys(("list", "set", "tuple", "sequence"), COMPLEX_EXAMPLES["array"]),
    **dict.fromkeys(("dict", "mapping", "hashmap"), COMPLEX_EXAMPLES["map"]),
    **dict.fromkeys(
        ("object", "struct", "json", "any"),
        f"{COMPLEX_EXAMPLES['record']} or {COMPLEX_EXAMPLES['map']}",
    ),
    **dict.fromkeys(("union", "optional", "nullable"), '["null", string]'),
}
"""What other languages call a type, and what to write in Avro."""

RESERVED_TYPE_NAMES = frozenset({*PRIMITIVES, *COMPLEX_KEYS, "union", "error", "request"})


def logical_example(name: str) -> str:
    """Return how a logical type is written."""
    if name == "decimal":
        return _DECIMAL
    return f"{{type: {LOGICAL_TYPES[name].bases[0]}, logicalType: {name}}}"


def names_of(keys: tuple[Key, ...]) -> tuple[str, ...]:
    """Return the keys' names."""
    return tuple(key.name for key in keys)
