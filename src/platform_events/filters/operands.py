"""What a comparison asks of a field's value, by the field's type.

Values are compared as Avro stores them: a date as days, a time stamp as milliseconds or
microseconds, a decimal as units of its last digit, a symbol as its index. The literal is brought
to that unit once. Where it is finer than the unit, so that no value equals it, it is moved to the
neighbour that gives the same answers. Text is compared by `str.casefold`.
"""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from platform_events.definitions.schema import CREATED_DATE
from platform_events.filters.error import FilterError
from platform_events.filters.operations import IS_NOT_NULL, IS_NULL, Test
from platform_events.filters.patterns import compile_pattern
from platform_events.payloads.types import Array, AvroType, Leaf, Map, Record, branches_of
from platform_events.wording import listed, one_of, shown, suggest

if TYPE_CHECKING:
    from platform_events.filters.expression import Comparison, Literal

FLOATING = frozenset({"float", "double"})
TEXTUAL = frozenset({"string", "uuid"})

_EQUALITY = ("=", "!=")
_LISTS = ("IN", "NOT IN")
_ORDER = ("<", "<=", ">", ">=")
_NEVER: frozenset[Any] = frozenset()
_SINGLE = struct.Struct("<f")

_NOTHING = Leaf("null")
_FORMS = {
    "boolean": ("a boolean", "boolean", "TRUE or FALSE"),
    "string": ("text", "text", "text in single quotes, such as 'abc'"),
    "uuid": ("a UUID", "text", "text in single quotes"),
    "enum": ("an enum", "text", "a symbol in single quotes"),
    **dict.fromkeys(("int", "long"), ("a whole number", "number", "a number, such as 10")),
    **dict.fromkeys(
        ("float", "double", "decimal"), ("a number", "number", "a number, such as 10.5")
    ),
    "date": ("a date", "date", "a date without quotes, such as 2021-07-09"),
    "time": ("a time of day", "time", "a time without quotes, such as 10:30:11"),
    "timestamp": (
        "a point in time",
        "timestamp",
        "a time stamp with zone and without quotes, such as 2021-07-09T10:30:11Z",
    ),
    "local-timestamp": (
        "a local time stamp",
        "local-timestamp",
        "a time stamp without zone and quotes, such as 2021-07-09T10:30:11",
    ),
}
"""By kind: what it is, the kind of its literals, and what to write."""


class SymbolTable:
    """The symbols of enums by their folded text, put in order once for all comparisons."""

    def __init__(self) -> None:
        self._indexes: dict[int, tuple[Leaf, dict[str, list[int]]]] = {}
        """By the identity of the type, which is in the table lest another one gets it."""

    def of(self, leaf: Leaf) -> dict[str, list[int]]:
        """Return the indexes of an enum's symbols."""
        if id(leaf) not in self._indexes:
            indexes: dict[str, list[int]] = {}
            for index, symbol in enumerate(leaf.symbols):
                indexes.setdefault(symbol.casefold(), []).append(index)
            self._indexes[id(leaf)] = leaf, indexes
        return self._indexes[id(leaf)][1]


def make_test(
    comparison: Comparison, avro_type: AvroType, symbols: SymbolTable, *, strict: bool
) -> Test:
    """Return what a comparison asks of values of the type.

    Args:
        comparison: with its literals.
        avro_type: the field's type.
        symbols: of the record's enums.
        strict: refuse what can never hold: symbols that the enum does not have, numbers outside
            the type. Otherwise nothing equals them.

    Raises:
        FilterError: the type does not go with the operator or a literal.
    """
    operands = operand_types(avro_type)
    leaf = operands[0] if len(operands) == 1 else None
    test = _test_null(comparison)
    if test is not None:
        return test
    if not isinstance(leaf, Leaf) or leaf.family not in _FORMS:
        raise FilterError(
            f"{comparison.path} is {_describe(operands)}: it takes only = null and != null",
            comparison.operator_start,
            comparison.operator_end,
        )
    _check_operator(comparison, leaf)
    literals = comparison.literals
    for literal in literals:
        _check_literal(comparison, leaf, literal)
    match leaf.family:
        case "boolean":
            return Test(leaf, "==" if comparison.operator == "=" else "!=", literals[0].value)
        case "enum":
            return _test_enum(comparison, leaf, symbols.of(leaf), strict=strict)
        case "string" | "uuid":
            return _test_text(comparison, leaf)
        case "float" | "double":
            return _test_floating(comparison, leaf, strict=strict)
    return _test_whole(comparison, leaf)


def missing_test(comparison: Comparison) -> Test:
    """Return what a comparison asks of a field that the schema lacks: it is always null."""
    return _test_null(comparison) or Test(_NOTHING, "==")


def operand_types(avro_type: AvroType) -> list[AvroType]:
    """Return the types that a value has which is not null."""
    return [branch for branch in branches_of(avro_type) if branch != _NOTHING]


def _describe(operands: list[AvroType]) -> str:
    match operands:
        case []:
            return "always null"
        case [Array()]:
            return "a list"
        case [Map()]:
            return "a map"
        case [Record()]:
            return "a record"
        case [Leaf()]:
            return "bytes"
    return "of several types"


def _test_null(comparison: Comparison) -> Test | None:
    """Return what a comparison with null asks, None if it is with other values."""
    literal = next((one for one in comparison.literals if one.kind == "null"), None)
    if literal is None:
        return None
    match comparison.operator:
        case "=":
            return Test(_NOTHING, IS_NULL)
        case "!=":
            return Test(_NOTHING, IS_NOT_NULL)
        case "IN" | "NOT IN":
            name = comparison.path
            advice = f"{name} = null OR {name} IN (...)"
            if comparison.operator == "NOT IN":
                advice = f"{name} != null AND {name} NOT IN (...)"
            message = f"a list cannot have null; write {advice}"
        case _:
            message = f"{comparison.operator} does not go with null, which takes only = and !="
    raise FilterError(message, literal.start, literal.end)


def _check_operator(comparison: Comparison, leaf: Leaf) -> None:
    match leaf.family:
        case "boolean":
            allowed: tuple[str, ...] = _EQUALITY
        case "enum":
            allowed = (*_EQUALITY, *_LISTS)
        case family:
            allowed = (*_EQUALITY, *_ORDER, *_LISTS)
            if family in TEXTUAL:
                allowed = (*allowed, "LIKE")
    if comparison.operator not in allowed:
        raise FilterError(
            f"{comparison.operator} does not go with {comparison.path}, which is "
            f"{_FORMS[leaf.family][0]}: use {one_of(allowed)}",
            comparison.operator_start,
            comparison.operator_end,
        )


def _check_literal(comparison: Comparison, leaf: Leaf, literal: Literal) -> None:
    what, kind, example = _FORMS[leaf.family]
    if literal.kind == kind or (literal.kind == "timestamp" and _is_created_date(comparison, leaf)):
        return
    raise FilterError(
        f"{comparison.path} is {what}: compare it with {example}", literal.start, literal.end
    )


def _is_created_date(comparison: Comparison, leaf: Leaf) -> bool:
    return comparison.path == CREATED_DATE and leaf.kind == "long"


def _test_enum(
    comparison: Comparison, leaf: Leaf, by_folded: dict[str, list[int]], *, strict: bool
) -> Test:
    indexes: set[int] = set()
    for literal in comparison.literals:
        word = str(literal.value)
        found = by_folded.get(word.casefold(), [])
        if strict and not found:
            guess = suggest(word, leaf.symbols) or f"; its symbols are {listed(leaf.symbols)}"
            raise FilterError(
                f"{comparison.path} has no symbol {shown(word)}{guess}", literal.start, literal.end
            )
        indexes.update(found)
    is_negated = comparison.operator in {"!=", "NOT IN"}
    return Test(leaf, "not in" if is_negated else "in", frozenset(indexes))


def _test_text(comparison: Comparison, leaf: Leaf) -> Test:
    texts = [str(literal.value).casefold() for literal in comparison.literals]
    if comparison.operator == "LIKE":
        try:
            return Test(leaf, "like", compile_pattern(texts[0]))
        except ValueError as error:
            literal = comparison.literals[0]
            raise FilterError(str(error), literal.start, literal.end) from None
    return _compare(leaf, comparison.operator, texts)


def _test_floating(comparison: Comparison, leaf: Leaf, *, strict: bool) -> Test:
    numbers = []
    for literal in comparison.literals:
        number = _to_float(Fraction(literal.value or 0), leaf.kind)
        if strict and math.isinf(number):
            raise FilterError(
                f"{shown(literal.text)} is outside the range of {leaf.kind}",
                literal.start,
                literal.end,
            )
        numbers.append(number)
    return _compare(leaf, comparison.operator, numbers)


def _to_float(value: Fraction, kind: str) -> float:
    try:
        number = float(value)
        if kind == "float":
            (number,) = _SINGLE.unpack(_SINGLE.pack(number))
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    return number


def _test_whole(comparison: Comparison, leaf: Leaf) -> Test:
    values = [_in_units(literal, leaf) for literal in comparison.literals]
    # A finer literal lies between two values: `=` holds for none, the order is kept by a neighbour.
    match comparison.operator:
        case "<" | ">=":
            return _compare(leaf, comparison.operator, [math.ceil(values[0])])
        case "<=" | ">":
            return _compare(leaf, comparison.operator, [math.floor(values[0])])
    whole = [int(value) for value in values if value.denominator == 1]
    if not whole:
        return Test(leaf, "in" if comparison.operator in {"=", "IN"} else "not in", _NEVER)
    return _compare(leaf, comparison.operator, whole)


def _in_units(literal: Literal, leaf: Leaf) -> Fraction:
    value = Fraction(literal.value or 0)
    if leaf.kind == "decimal":
        return value * int(10**leaf.scale)
    # Only the field CreatedDate, which is in milliseconds, is compared so.
    is_created = leaf.kind == "long" and literal.kind == "timestamp"
    return value / (1000 if is_created else leaf.micros)


def _compare(leaf: Leaf, word: str, constants: list[Any]) -> Test:
    match word:
        case "IN" | "NOT IN":
            return Test(leaf, word.lower(), frozenset(constants))
        case "=":
            word = "=="
    return Test(leaf, word, constants[0])
