"""Read an Avro schema from a document and write it in one normal form.

In the normal form a named type is written out at its first use and referred to by name after
that, keys are in one order, and namespaces are named only where they change. So equal schemas
have equal text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from platform_events.files.document import Node, unknown_key
from platform_events.files.notation import (
    COMPLEX_EXAMPLES,
    COMPLEX_KEYS,
    DECIMAL_KEYS,
    FIELD_KEYS,
    FREE_PREFIX,
    JSON_WORDS,
    OPTIONAL_KEY,
    RESERVED_TYPE_NAMES,
    names_of,
)
from platform_events.files.type_parts import (
    NAME_RULE,
    Avro,
    check_order,
    explain_clash,
    explain_unknown_type,
    read_logical_type,
    read_size,
    read_symbols,
    read_texts,
)
from platform_events.payloads.kinds import PRIMITIVES, json_kind_of
from platform_events.payloads.type_names import (
    FULL_NAME,
    NAME,
    bare_name,
    full_name,
    namespace_of,
    reference,
)
from platform_events.payloads.types import MAX_DEPTH, TOO_DEEP
from platform_events.wording import suggest

if TYPE_CHECKING:
    from platform_events.files.document import Mark, Report

_NAME = re.compile(NAME)
_FULL_NAME = re.compile(FULL_NAME)
_FIELD_KEYS = names_of(FIELD_KEYS)
_TYPE_KEYS = {key.name for keys in COMPLEX_KEYS.values() for key in keys} | {
    "logicalType",
    *names_of(DECIMAL_KEYS),
}
_MISPLACED = frozenset(_TYPE_KEYS - {*_FIELD_KEYS, "namespace"})
_NEVER_FREE = _TYPE_KEYS - {"doc", "name"}
_MISSPELT = 0.8
"""Similarity from which an attribute of an Avro file is taken for a misspelt key."""


class _Named(NamedTuple):
    mark: Mark
    kind: str


class SchemaReader:
    """Reads the types of one schema; named types are known from their definition on."""

    def __init__(self, report: Report, root: Node, *, avro_file: bool) -> None:
        self._report = report
        self._root = root
        self._avro_file = avro_file
        """Avro allows any attribute, which is kept; a YAML definition does not."""
        self._names: dict[str, _Named] = {}
        """Defined so far, the faulty ones too, lest every use of one be a problem of its own."""
        self._faulty: set[str] = set()
        self._open: list[str] = []
        """Records whose fields are being read."""
        self._depth = 0
        """Types around the one that is being read, apart from the outermost record."""
        self.defaults: dict[tuple[str, str], Node] = {}
        """Defaults to check once all types are known, by full record name and field name."""
        self._fields: dict[tuple[str, str], Mark] = {}
        """Where fields are, by full record name and field name."""

    def read_record(self, node: Node) -> dict[str, Any] | None:
        """Read a whole schema, which must be a record; None if that is impossible."""
        kind = node.get("type")
        if kind is None or kind.value != "record":
            self._report.add(
                node, 'the schema of an event is a record: {"type": "record", "name": ...}'
            )
            return None
        read = self._object(node, "")
        return read if isinstance(read, dict) else None

    @property
    def places(self) -> dict[tuple[str, str], str]:
        """Where fields are, as `EventDefinition.places` has them."""
        marks = {(name, ""): named.mark for name, named in self._names.items()} | self._fields
        return {
            key: f"{self._report.file}:{mark.line}:{mark.column}" for key, mark in marks.items()
        }

    def define(self, name: str, mark: Mark) -> None:
        """Make a record's full name known before its fields are read."""
        self._names[name] = _Named(mark, "record")

    def read_fields(self, node: Node, record: str) -> list[dict[str, Any]]:
        """Read a record's fields; those with problems are left out."""
        if not isinstance(node.value, tuple):
            self._report.add_misfit(node, "a list of fields")
            return []
        marks: dict[str, Mark] = {}
        fields = []
        self._open.append(record)
        for item in node.value:
            name = self._field_name(item, marks)
            field = self._field(item, name, record)
            if name and field:
                fields.append(field)
        self._open.pop()
        self._fields |= {(record, name): mark for name, mark in marks.items()}
        return fields

    def _field_name(self, node: Node, marks: dict[str, Mark]) -> str | None:
        if not isinstance(node.value, dict):
            self._report.add(node, f"a field is {{name: ..., type: ...}}, not {node.describe()}")
            return None
        name = node.get("name")
        if name is None:
            self._report.add(node, "the field has no name")
            return None
        if not isinstance(name.value, str) or not _NAME.fullmatch(name.value):
            self._report.add(name, f"{name.describe()} cannot name a field: {NAME_RULE}")
            return None
        if name.value in marks:
            line = marks[name.value].line
            self._report.add(name, f"the field {name.value} is already defined on line {line}")
            return None
        marks[name.value] = name.mark
        return name.value

    def _field(self, node: Node, name: str | None, record: str) -> dict[str, Any] | None:
        if not isinstance(node.value, dict):
            return None
        for key in sorted(_MISPLACED & node.value.keys()):
            self._report.add_key(
                node.value[key], f"{key} belongs inside the type: type: {{type: ..., {key}: ...}}"
            )
        known = _FIELD_KEYS if self._avro_file else (*_FIELD_KEYS, OPTIONAL_KEY.name)
        others = self._others(node, known, _MISPLACED)
        if self._avro_file:
            check_order(node, self._report)
        kind = node.get("type")
        if kind is None:
            self._report.add(node, "the field has no type")
            return None
        avro = self.read_type(kind, namespace_of(record))
        default = node.get("default")
        optional = not self._avro_file and self._optional(node)
        if avro is None or name is None:
            return None
        field: dict[str, Any] = {"name": name, "type": avro}
        if optional:
            self._make_optional(node, field)
        elif default is not None:
            self.defaults[record, name] = default
            field["default"] = default.plain()
        field |= read_texts(node, _NAME, self._report)
        return field | others

    def _optional(self, node: Node) -> bool:
        flag = node.get(OPTIONAL_KEY.name)
        if flag is not None and not isinstance(flag.value, bool):
            self._report.add_misfit(flag, "true or false")
            return False
        return flag is not None and flag.value is True

    def _make_optional(self, node: Node, field: dict[str, Any]) -> None:
        branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
        default = node.get("default")
        if "null" in branches:
            self._report.add_key(
                node.get(OPTIONAL_KEY.name) or node, "the type already has null; remove optional"
            )
            return
        if default is not None and default.value is not None:
            self._report.add(
                default,
                "an optional field has the default null; remove optional to have another, or "
                "write the type as a list with null last",
            )
        field["type"] = ["null", *branches]
        field["default"] = None

    def read_type(self, node: Node, namespace: str) -> Avro | None:
        """Read a type inside `namespace`; None if it has a problem, which is in the report."""
        self._depth += 1
        if self._depth >= MAX_DEPTH:
            self._report.add(node, TOO_DEEP)
            avro = None
        else:
            avro = self._read_type(node, namespace)
        self._depth -= 1
        return avro

    def _read_type(self, node: Node, namespace: str) -> Avro | None:
        match node.value:
            case str() as word:
                return self._by_name(node, word, namespace)
            case tuple():
                return self._union(node, namespace)
            case dict():
                return self._object(node, namespace)
            case None if not self._avro_file:
                # In YAML the word null is null itself, and no other type can be meant.
                return "null"
        self._report.add_misfit(node, "a name, an object or a list of branches")
        return None

    def _by_name(self, node: Node, word: str, namespace: str) -> str | None:
        if word in PRIMITIVES:
            return word
        full = full_name(word, namespace)
        if full in self._names:
            if full in self._open:
                self._report.add(
                    node, f"recursive types are not supported: {word} would contain itself"
                )
                return None
            if full in self._faulty:
                return None
            return reference(full, namespace)
        known = [name.removeprefix(f"{namespace}.") for name in self._names]
        self._report.add(node, explain_unknown_type(word, known, self._root))
        return None

    def _union(self, node: Node, namespace: str) -> list[Any] | None:
        if not isinstance(node.value, tuple) or not node.value:
            self._report.add(node, 'a union needs branches, such as ["null", string]')
            return None
        branches: list[Avro] = []
        distinct = True
        by_kind: dict[str, Avro] = {}
        for branch in node.value:
            if isinstance(branch.value, tuple):
                self._report.add(branch, "a union cannot be in a union; write one list")
                continue
            avro = self.read_type(branch, namespace)
            if avro is None:
                continue
            branches.append(avro)
            kind = self._json_kind(avro, namespace)
            clash = explain_clash(avro, kind, by_kind)
            if clash:
                distinct = False
                self._report.add(branch, clash)
            by_kind.setdefault(kind, avro)
        return branches if distinct and len(branches) == len(node.value) else None

    def _json_kind(self, avro: Avro, namespace: str) -> str:
        """Return what a value of a type is in JSON, in words."""
        if isinstance(avro, dict):
            kind = str(avro.get("logicalType") or avro["type"])
        else:
            kind = str(avro)
            if kind not in PRIMITIVES:
                kind = self._names[full_name(kind, namespace)].kind
        return JSON_WORDS[json_kind_of(kind)]

    def _object(self, node: Node, namespace: str) -> Avro | None:
        kind = node.get("type")
        if kind is None:
            self._report.add(node, "a type written as an object needs type")
            return None
        match kind.value:
            case "record" | "enum" | "fixed" as word:
                return self._named(node, word, namespace)
            case "array" | "map" as word:
                return self._container(node, word, namespace)
            case str() as word if word in PRIMITIVES:
                others = self._others(node, ("type", "logicalType", *names_of(DECIMAL_KEYS)))
                return self._primitive(node, word, others)
            case str() as word:
                for key in self._others(node, ("type",)):
                    self._report.add_key(
                        node.get(key) or node,
                        f"{word} is only referred to here; write {key} where it is defined, or "
                        "beside the field's name",
                    )
                return self._by_name(kind, word, namespace)
        self._report.add_misfit(kind, "a word here", "; write that type without the object")
        return None

    def _primitive(self, node: Node, word: str, others: dict[str, Any]) -> Avro | None:
        logical = read_logical_type(node, word, self._report)
        if logical is None:
            return None
        return {"type": word} | logical | others if logical or others else word

    def _container(self, node: Node, kind: str, namespace: str) -> Avro | None:
        (part,) = names_of(COMPLEX_KEYS[kind])
        others = self._others(node, ("type", part))
        inner = node.get(part)
        if inner is None:
            self._report.add(node, f"the {kind} has no {part}: write {COMPLEX_EXAMPLES[kind]}")
            return None
        avro = self.read_type(inner, namespace)
        return None if avro is None else {"type": kind, part: avro} | others

    def _named(self, node: Node, kind: str, namespace: str) -> Avro | None:
        known = ("type", *names_of(COMPLEX_KEYS[kind]))
        if kind == "fixed":
            known += ("logicalType", *names_of(DECIMAL_KEYS))
        others = self._others(node, known)
        full = self._define(node, kind, namespace)
        avro: dict[str, Any] = {"type": kind, "name": bare_name(full)}
        if namespace_of(full) != namespace:
            avro["namespace"] = namespace_of(full)
        avro |= read_texts(node, _FULL_NAME, self._report)
        match kind:
            case "record":
                body = self._record_body(node, full)
            case "enum":
                body = read_symbols(node, self._report)
            case _:
                body = read_size(node, self._report)
        if not full or body is None:
            self._faulty.add(full)
            return None
        return avro | body | others

    def _define(self, node: Node, kind: str, namespace: str) -> str:
        """Return the full name that a definition makes known, empty if it has none."""
        name, own = node.get("name"), node.get("namespace")
        if own is not None and (
            not isinstance(own.value, str) or (own.value and not _FULL_NAME.fullmatch(own.value))
        ):
            self._report.add(own, f"{own.describe()} cannot be a namespace: names joined by dots")
            own = None
        if name is None:
            self._report.add(node, f"the {kind} has no name: write {COMPLEX_EXAMPLES[kind]}")
            return ""
        text = name.value
        if not isinstance(text, str) or not _FULL_NAME.fullmatch(text):
            self._report.add(name, f"{name.describe()} cannot name a type: {NAME_RULE}")
            return ""
        if bare_name(text) in RESERVED_TYPE_NAMES:
            self._report.add(name, f"{text} is a word of Avro and cannot name a type")
            return ""
        full = full_name(text, namespace, None if own is None else str(own.value))
        if full in self._names:
            line = self._names[full].mark.line
            self._report.add(
                name, f"{text} is already defined on line {line}; refer to it by its name"
            )
            return ""
        self._names[full] = _Named(name.mark, kind)
        return full

    def _record_body(self, node: Node, full: str) -> dict[str, Any] | None:
        fields = node.get("fields")
        if fields is None:
            self._report.add(node, "the record has no fields")
            return None
        read = self.read_fields(fields, full)
        # Without a single field it would be faulted as an empty one.
        return {"fields": read} if read or not fields.value else None

    def _others(
        self, node: Node, known: tuple[str, ...], reported: frozenset[str] = frozenset()
    ) -> dict[str, Any]:
        """Check the keys of a mapping; return the attributes that Avro leaves free."""
        kept: dict[str, Any] = {}
        entries = node.value if isinstance(node.value, dict) else {}
        for key in entries.keys() - {*known, *reported}:
            entry = entries[key]
            if not self._avro_file:
                if not key.startswith(FREE_PREFIX):
                    self._report.add_key(entry, unknown_key(key, known))
            elif key == OPTIONAL_KEY.name:
                self._report.add_key(entry, 'Avro has no optional: write ["null", ...] as the type')
            elif key in _NEVER_FREE or key.startswith("__") or suggest(key, known, _MISSPELT):
                self._report.add_key(entry, unknown_key(key, known))
            else:
                kept[key] = entry.plain()
        return dict(sorted(kept.items()))
