"""Filters compiled for the bodies that one schema wrote.

A filter becomes one Python function: it walks through the body (see `walk`), then judges the
values it took out. NOT is pushed down to the comparisons, where it turns an operator into its
opposite. What is left are AND and OR, in which unknown may count as false: a comparison holds if
its value is there and compares so. Names do not appear in the source, constants are bound by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_events.filters.binding import bind
from platform_events.filters.expression import And, Comparison, Expression, Not, Or, comparisons_in
from platform_events.filters.operands import FLOATING
from platform_events.filters.operations import IS_NOT_NULL, IS_NULL, OPERATIONS, Test
from platform_events.filters.parser import parse_filter
from platform_events.filters.walk import FieldReader, Wanted
from platform_events.payloads import layout
from platform_events.payloads.source import Source
from platform_events.payloads.types import Record, parse_record

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.definitions.schema import Schema


def compile_filter(text: str, writer: Schema) -> Callable[[bytes], bool]:
    """Return the function that tells whether an event passes, from its undecoded Avro body.

    The function is thread-safe. It raises `DecodeError` for bytes that are not exactly one payload
    of the schema; in fields that the filter does not read, text is not checked for UTF-8.

    Args:
        text: a filter that was checked against the event's present schema.
        writer: the schema that wrote the bodies, this one or an older one. Fields that it lacks are
            null; symbols that it lacks equal nothing.

    Raises:
        FilterError: the text is not a filter, or compares a field with what its type in this
            schema does not go with.
    """
    record = parse_record(writer.parsed)
    return _Compilation(record).compile(bind(parse_filter(text), record, strict=False))


class _Compilation:
    """A filter on its way to a function; fields by the name of their variable."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._source = Source(record, layout.NAMES)
        self._variables: dict[str, str] = {}

    def compile(self, expression: Expression) -> Callable[[bytes], bool]:
        wanted = self._collect(expression)
        lines = [
            *(f"{variable} = None" for variable in self._variables.values()),
            *layout.whole_body(FieldReader(self._source).fields(self._record, wanted)),
            f"return {self._judge(expression, negated=False)}",
        ]
        return self._source.compile("filter", "body", lines)

    def _collect(self, expression: Expression) -> Wanted:
        """Name a variable for each field that is compared."""
        root = Wanted()
        for comparison in comparisons_in(expression):
            wanted = root
            for step in comparison.path.split("."):
                wanted = wanted.parts.setdefault(step, Wanted())
            if comparison.path not in self._variables:
                self._variables[comparison.path] = self._source.variable()
            wanted.variable = self._variables[comparison.path]
            if _test_of(comparison).operation not in {IS_NULL, IS_NOT_NULL}:
                wanted.only_presence = False
        return root

    def _judge(self, expression: Expression, *, negated: bool, around: str = "or") -> str:
        """Return an expression that is true if the filter, or its negation, is true.

        It has no more parentheses in parentheses than the filter: Python's parser takes 199.
        """
        match expression:
            case Not(operand=operand):
                return self._judge(operand, negated=not negated, around=around)
            case And(operands=operands) | Or(operands=operands):
                word = "and" if isinstance(expression, And) is not negated else "or"
                parts = (self._judge(each, negated=negated, around=word) for each in operands)
                text = f" {word} ".join(parts)
                return f"({text})" if (around, word) == ("and", "or") else text
        return self._compare(expression, negated=negated)

    def _compare(self, comparison: Comparison, *, negated: bool) -> str:
        variable = self._variables[comparison.path]
        test = _test_of(comparison)
        if test.operation in {IS_NULL, IS_NOT_NULL}:
            is_null = (test.operation == IS_NULL) is not negated
            return f"{variable} is {'None' if is_null else 'not None'}"
        key = OPERATIONS[test.operation].opposite if negated else test.operation
        constant = self._source.constant(test.constant)
        terms = [f"{variable} is not None"]
        if test.leaf.kind in FLOATING and key in {"!=", "not in"}:
            # NaN is not known to differ from anything.
            terms.append(f"{variable} == {variable}")
        return " and ".join([*terms, OPERATIONS[key].source.format(variable, constant)])


def _test_of(comparison: Comparison) -> Test:
    assert comparison.test is not None
    return comparison.test
