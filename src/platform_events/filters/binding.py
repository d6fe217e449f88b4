"""Filters checked against a schema: each comparison learns what it asks of the stored value."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.filters.error import UnknownFieldError
from platform_events.filters.expression import And, Comparison, Expression, Not, Or
from platform_events.filters.operands import SymbolTable, make_test, missing_test, operand_types
from platform_events.filters.parser import parse_filter
from platform_events.payloads.type_names import bare_name
from platform_events.payloads.types import AvroType, Record, parse_record
from platform_events.wording import listed, shown, suggest

if TYPE_CHECKING:
    from platform_events.definitions.schema import Schema


def check_filter(text: str, schema: Schema) -> Expression:
    """Read a filter and check it against the schema that events are published with now.

    Returns:
        The expression, ready for `evaluate` and `explain`.

    Raises:
        FilterError: the text is not a filter, names a field that is not there
            (`UnknownFieldError`), or compares one with what its type does not go with.
    """
    return bind(parse_filter(text), parse_record(schema.parsed), strict=True)


def bind(expression: Expression, record: Record, *, strict: bool) -> Expression:
    """Return the expression with the tests of its comparisons.

    Args:
        expression: as it was parsed.
        record: the payload's type.
        strict: whether a field has to be there. If not, a missing one is null, and symbols that
            an enum does not have yet equal nothing.

    Raises:
        FilterError: the expression does not go with the type.
    """
    return _Binder(record, strict=strict).bind(expression)


def record_of(avro_type: AvroType) -> Record | None:
    """Return the record that values of a type are, but for null; None if they are none."""
    match operand_types(avro_type):
        case [Record() as record]:
            return record
    return None


class _Binder:
    """Binds one expression; fields and symbols are put in order once for all comparisons."""

    def __init__(self, record: Record, *, strict: bool) -> None:
        self._record = record
        self._strict = strict
        self._types: dict[Record, dict[str, AvroType]] = {}
        self._symbols = SymbolTable()

    def bind(self, expression: Expression) -> Expression:
        match expression:
            case Not(operand=operand):
                return Not(self.bind(operand))
            case And() | Or():
                return type(expression)(tuple(map(self.bind, expression.operands)))
        avro_type = self._find(expression)
        if avro_type is None:
            return replace(expression, test=missing_test(expression))
        test = make_test(expression, avro_type, self._symbols, strict=self._strict)
        return replace(expression, test=test)

    def _find(self, comparison: Comparison) -> AvroType | None:
        """Return the type of a comparison's field, None if a schema that may lack it does."""
        start = comparison.start
        steps = comparison.path.split(".")
        parent = self._record
        for index, step in enumerate(steps):
            types = self._types_in(parent)
            place = (start, start + len(step))
            if step not in types:
                if not self._strict:
                    return None
                raise UnknownFieldError(_unknown(steps[: index + 1], parent, list(types)), *place)
            avro_type = types[step]
            if index + 1 == len(steps):
                return avro_type
            inner = record_of(avro_type)
            if inner is None:
                path = ".".join(steps[: index + 1])
                raise UnknownFieldError(
                    f"{path} is no record: it has no {shown(steps[index + 1])}", *place
                )
            parent = inner
            start += len(step) + 1
        return None

    def _types_in(self, record: Record) -> dict[str, AvroType]:
        if record not in self._types:
            self._types[record] = {item.name: item.type for item in record.fields}
        return self._types[record]


def _unknown(steps: list[str], parent: Record, known: list[str]) -> str:
    *above, step = steps
    owner = ".".join(above) or bare_name(parent.name)
    guess = suggest(step, known) or f"; its fields are {listed(known)}"
    return f"{owner} has no field {shown(step)}{guess}"
