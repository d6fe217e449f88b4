"""Read YAML 1.2 text into a tree of values with places.

Scalars mean what the core schema says (YAML 1.2.2, chapter 10.3.2): `NO`, `12:30` and
`2013-01-01` are text. The parser's events are composed here, because its own composer resolves
more tags, warns, and has no bounds.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from platform_events.files.document import MAX_DEPTH, MAX_NODES, Mark, Node, entry_path, item_path
from platform_events.wording import is_unicode, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from platform_events.files.document import Report

MAX_LINE = 10_000
"""Characters of a line at most: the parser needs quadratic time for some long tokens."""

_UNPRINTABLE = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_DIGITS = 400
_FLOAT_LIMIT = 1 << 1023
_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")


class _Stop(Exception):  # noqa: N818
    """Reading cannot go on after this place."""

    def __init__(self, mark: Mark, message: str) -> None:
        self.mark = mark
        self.message = message


def read_yaml(text: str, report: Report) -> Node | None:
    """Return the document's root, None if it cannot be read; every problem is in the report."""
    try:
        _refuse_unreadable(text)
        return _Composer(text, report).read()
    except _Stop as stop:
        report.add_at(stop.mark, stop.message)
    except MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = Mark(place.line + 1, place.column + 1) if place else Mark(1, 1)
        report.add_at(mark, f"not valid YAML: {_explain(error)}")
    except (YAMLError, ValueError, IndexError, AttributeError, TypeError) as error:
        # The parser's own slips on text that is no YAML, such as a version of 5,000 digits.
        report.add_file(f"not valid YAML: {shown(str(error))}")
    return None


def resolve_scalar(text: str) -> bool | int | float | str | None:
    """Return what a plain scalar means in the core schema.

    Raises:
        ValueError: a number has too many digits.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise ValueError("too many digits")
        # Only 0o and 0x change the base: 014 is fourteen.
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITY.fullmatch(text):
        return float("-inf" if text[0] == "-" else "inf")
    return float("nan") if _NAN.fullmatch(text) else text


def _refuse_unreadable(text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            raise _Stop(
                Mark(number, 1), f"the line has more than {MAX_LINE:,} characters; break it"
            )
        wrong = _UNPRINTABLE.search(line)
        if wrong:
            raise _Stop(
                Mark(number, wrong.start() + 1),
                f"the character U+{ord(wrong.group()):04X} is not allowed in YAML; "
                "write it as an escape in double quotes",
            )


def _explain(error: MarkedYAMLError) -> str:
    text = " ".join(str(error.problem or error.context or "it cannot be parsed").split())
    return f"{text}; indent with spaces" if "'\\t'" in text else text


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


class _Composer:
    def __init__(self, text: str, report: Report) -> None:
        parser = YAML(typ="safe", pure=True)
        self._events: Iterator[Any] = parser.parse(text)
        self._report = report
        self._anchors: dict[str, Node] = {}
        self._open: set[str] = set()
        self._nodes = 0

    def read(self) -> Node:
        next(self._events)
        start = next(self._events)
        if isinstance(start, StreamEndEvent):
            raise _Stop(Mark(1, 1), "the file is empty")
        if isinstance(start, DocumentStartEvent) and start.version not in {None, (1, 2)}:
            raise _Stop(Mark(1, 1), "definitions are YAML 1.2; remove the %YAML line")
        root = self._node(next(self._events), "", None, 0)
        next(self._events)
        end = next(self._events)
        if not isinstance(end, StreamEndEvent):
            raise _Stop(_mark(end), "a second document begins here; write one document per file")
        if root.value is None:
            raise _Stop(Mark(1, 1), "the file is empty")
        return root

    def _node(self, event: Any, path: str, key: Mark | None, depth: int) -> Node:
        mark = _mark(event)
        self._count(mark, depth)
        if isinstance(event, AliasEvent):
            return self._alias(event, path, key, depth)
        if event.anchor:
            self._open.add(event.anchor)
        value: Any
        if isinstance(event, ScalarEvent):
            value = self._scalar(event, mark)
        elif isinstance(event, SequenceStartEvent):
            self._check_tag(event, "seq")
            value = self._items(path, depth)
        else:
            self._check_tag(event, "map")
            value = self._entries(path, depth)
        node = Node(value, mark, path, key)
        if event.anchor:
            self._open.discard(event.anchor)
            self._anchors[event.anchor] = node
        return node

    def _count(self, mark: Mark, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Stop(mark, f"the file has more than {MAX_NODES:,} values, aliases written out")
        if depth > MAX_DEPTH:
            raise _Stop(mark, f"values are nested deeper than {MAX_DEPTH} levels")

    def _items(self, path: str, depth: int) -> tuple[Node, ...]:
        items: list[Node] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, item_path(path, len(items)), None, depth + 1))
        return tuple(items)

    def _entries(self, path: str, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._node(event, path, None, depth + 1)
            name = key.value if isinstance(key.value, str) else ""
            node = self._node(
                next(self._events), entry_path(path, name) if name else path, key.mark, depth + 1
            )
            if not isinstance(key.value, str):
                self._report.add_key(node, f"a key is text, not {key.describe()}; put it in quotes")
            elif name in entries:
                first = entries[name].key or key.mark
                self._report.add_key(node, f"the key is repeated; it is first on line {first.line}")
            elif name == "<<":
                self._report.add_key(node, "merge keys are not part of YAML 1.2; write them out")
            else:
                entries[name] = node
        return entries

    def _alias(self, event: Any, path: str, key: Mark | None, depth: int) -> Node:
        mark = _mark(event)
        if event.anchor in self._open:
            raise _Stop(mark, f"the alias *{event.anchor} is inside what it refers to")
        if event.anchor not in self._anchors:
            raise _Stop(mark, f"no anchor &{event.anchor} comes before this alias")
        return self._copy(self._anchors[event.anchor], path, key, mark, depth)

    def _copy(self, node: Node, path: str, key: Mark | None, alias: Mark, depth: int) -> Node:
        """Write out what an alias stands for, counted against the bounds."""
        self._count(alias, depth)
        value = node.value
        if isinstance(value, dict):
            value = {
                name: self._copy(entry, entry_path(path, name), entry.key, alias, depth + 1)
                for name, entry in value.items()
            }
        elif isinstance(value, tuple):
            value = tuple(
                self._copy(item, item_path(path, index), None, alias, depth + 1)
                for index, item in enumerate(value)
            )
        return replace(node, value=value, path=path, key=key)

    def _scalar(self, event: Any, mark: Mark) -> Any:
        text: str = event.value
        if not is_unicode(text):
            raise _Stop(mark, "text has half of a surrogate pair, which is no Unicode character")
        tag = str(event.tag) if event.tag else ""
        if tag == "!" or (not tag and event.style):
            return text
        try:
            value = resolve_scalar(text)
        except ValueError:
            raise _Stop(mark, "the number has too many digits") from None
        if not tag:
            return value
        kind = tag.removeprefix(_TAG)
        if kind == "str":
            return text
        if kind == "float" and type(value) is int and abs(value) < _FLOAT_LIMIT:
            return float(value)
        if {"null": type(None), "bool": bool, "int": int, "float": float}.get(kind) is type(value):
            return value
        raise _Stop(mark, f"the tag {shown(tag)} does not fit here; remove it")

    def _check_tag(self, event: Any, kind: str) -> None:
        if event.tag and str(event.tag) not in {"!", _TAG + kind}:
            raise _Stop(_mark(event), f"the tag {shown(str(event.tag))} is not allowed; remove it")
