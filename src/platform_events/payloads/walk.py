"""Passing over a payload without building it: strictly, as a check of bytes, or by sizes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_events.payloads import layout
from platform_events.payloads.conversions import FROM_NUMBER, NAMES
from platform_events.payloads.decoder import decoded
from platform_events.payloads.kinds import WHOLE_NUMBERS
from platform_events.payloads.source import Source
from platform_events.payloads.types import Array, AvroType, Leaf, Map, Record, Union, smallest_size

if TYPE_CHECKING:
    from collections.abc import Callable


_ANYTHING = frozenset({"null", "float", "double", "bytes", "fixed"})
"""Types of which all bytes are values."""


class Walk:
    """Lines that move `at` over a value in `body`, by its type.

    Text that is passed over is not judged, nor are numbers; only the structure is.
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    def value(self, avro_type: AvroType) -> list[str]:
        """Return the lines for a type."""
        match avro_type:
            case Leaf():
                return self.leaf(avro_type)
            case Union():
                return layout.union(avro_type, self.value)
            case Record() if self.source.is_inline(avro_type):
                return self._fields(avro_type)
        name = self.source.function(avro_type, "body, at", lambda: self._body(avro_type))
        return [f"at = {name}(body, at)"]

    def leaf(self, leaf: Leaf) -> list[str]:
        """Return the lines for a type without parts."""
        if leaf.kind == "enum":
            return layout.symbol(self.source, leaf, leaf.symbols, "n")
        return layout.passed(leaf)

    def _fields(self, record: Record) -> list[str]:
        return [line for item in record.fields for line in self.value(item.type)]

    def _body(self, avro_type: Array | Map | Record) -> list[str]:
        match avro_type:
            case Record():
                lines = self._fields(avro_type)
            case Array(items=part):
                lines = layout.blocks(smallest_size(part), self.value(part))
            case Map(values=part):
                entry = [*self.leaf(Leaf("string")), *self.value(part)]
                lines = layout.blocks(1 + smallest_size(part), entry)
        return [*lines, "return at"]


class _StrictWalk(Walk):
    """Judges every value: what it passes over decodes, and what it decodes to encodes."""

    def leaf(self, leaf: Leaf) -> list[str]:
        """Return the lines for a type without parts."""
        if leaf.kind in _ANYTHING:
            return layout.passed(leaf)
        if leaf.kind not in FROM_NUMBER:
            return decoded(self.source, leaf, "v")
        least, most = WHOLE_NUMBERS[leaf.kind]
        range_ = f"if not {least} <= v <= {most}: raise OverflowError"
        return [*layout.stored(leaf, "v"), range_]


def compile_walk(record: Record) -> Callable[[bytes], None]:
    """Return the function that raises `DecodeError` for a body which is no payload."""
    source = Source(record, {**layout.NAMES, **NAMES})
    lines = _StrictWalk(source).value(record)
    return source.compile("walk", "body", layout.whole_body(lines))
