"""Python source under construction, one function for each composite type of a schema.

Only checked names appear in it, as string literals; everything else is a constant, by name. The
source can be looked up, so that tracebacks and profilers show it.
"""

from __future__ import annotations

import linecache
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import finalize

from platform_events.payloads.types import Array, AvroType, Map, Record, Union

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_numbers = count(1)


class Source:
    """Functions and constants by name.

    Args:
        root: the type that the source is for.
        names: what the source uses under the names that it uses.
    """

    def __init__(self, root: Record, names: Mapping[str, Any]) -> None:
        self._root = root
        self._globals = dict(names)
        self._functions: dict[AvroType, str] = {}
        self._lines: list[str] = []
        self._uses: Counter[Record] = Counter()
        self._variables = count()
        _count(root, self._uses)

    def constant(self, value: Any) -> str:
        """Return a name for a value."""
        name = f"c{len(self._globals)}"
        self._globals[name] = value
        return name

    def variable(self) -> str:
        """Return the name of a variable that nothing else has."""
        return f"v{next(self._variables)}"

    def is_inline(self, record: Record) -> bool:
        """Whether a record is needed in one place only, so that a function would be in the way."""
        return self._uses[record] == 1

    def function(self, avro_type: AvroType, head: str, make: Callable[[], list[str]]) -> str:
        """Return the name of a type's function, which is made when it is first asked for.

        Args:
            avro_type: the type.
            head: names of its parameters.
            make: returns the lines of its body.
        """
        if avro_type not in self._functions:
            lines = make()
            name = self._functions[avro_type] = f"f{len(self._functions)}"
            self._define(f"{name}({head})", lines)
        return self._functions[avro_type]

    def compile(self, purpose: str, head: str, lines: list[str]) -> Callable[..., Any]:
        """Return the function of the whole source. It is thread-safe.

        Args:
            purpose: its name; also in the name of the file that tracebacks give.
            head: names of its parameters.
            lines: its body, unindented.
        """
        self._define(f"{purpose}({head})", lines)
        text = "\n".join([*self._lines, ""])
        file = f"<platform_events {purpose} {self._root.name} {next(_numbers)}>"
        exec(compile(text, file, "exec"), self._globals)  # noqa: S102
        function: Callable[..., Any] = self._globals[purpose]
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
        finalize(function, linecache.cache.pop, file, None).atexit = False
        return function

    def _define(self, head: str, lines: list[str]) -> None:
        self._lines += [f"def {head}:", *indent(lines)]


def indent(lines: Sequence[str]) -> list[str]:
    """Return lines as the body of a compound statement."""
    return [f" {line}" for line in lines] or [" pass"]


def _count(avro_type: AvroType, uses: Counter[Record]) -> None:
    match avro_type:
        case Array(items=part) | Map(values=part):
            _count(part, uses)
        case Union(branches=branches):
            for branch in branches:
                _count(branch, uses)
        case Record():
            uses[avro_type] += 1
            if uses[avro_type] == 1:
                for item in avro_type.fields:
                    _count(item.type, uses)
