"""Filters judged on decoded payloads, and the reasons why one does not pass."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from platform_events.errors import UsageError
from platform_events.filters.expression import And, Comparison, Expression, Not, Or
from platform_events.filters.operands import FLOATING
from platform_events.filters.operations import IS_NOT_NULL, IS_NULL, OPERATIONS, Test
from platform_events.payloads.values import EPOCH, EPOCH_DAY, LOCAL_EPOCH, unscaled
from platform_events.wording import shown

_SINGLE = struct.Struct("<f")
_WORDS = {True: "true", False: "false", None: "unknown"}


def evaluate(expression: Expression, payload: Mapping[str, Any]) -> bool | None:
    """Return whether a filter is true for a payload, None if that is unknown.

    Args:
        expression: as `check_filter` returned it.
        payload: as the SDK takes and gives it, with `datetime`, `Decimal` and the like. A field
            that is not there is null.

    Raises:
        UsageError: the expression was only parsed.
    """
    match expression:
        case Not(operand=operand):
            verdict = evaluate(operand, payload)
            return None if verdict is None else not verdict
        case And(operands=operands) | Or(operands=operands):
            verdicts = {evaluate(each, payload) for each in operands}
            settles = isinstance(expression, Or)
            return settles if settles in verdicts else None if None in verdicts else not settles
    return _compare(expression, _value_of(expression, payload))


def explain(expression: Expression, payload: Mapping[str, Any]) -> list[str]:
    """Return why a payload does not pass, one line for each comparison that is to blame.

    Such as `delay_minutes >= 60 is false: delay_minutes is 12`. Empty if it passes. Takes and
    raises what `evaluate` does.
    """
    return _blame(expression, payload, wanted=True)


def _blame(expression: Expression, payload: Mapping[str, Any], *, wanted: bool) -> list[str]:
    """Return which comparisons keep an expression from being what is wanted, true or false."""
    if evaluate(expression, payload) is wanted:
        return []
    match expression:
        case Not(operand=operand):
            return _blame(operand, payload, wanted=not wanted)
        case And(operands=operands) | Or(operands=operands):
            reasons = [line for each in operands for line in _blame(each, payload, wanted=wanted)]
            return list(dict.fromkeys(reasons))
    value = _value_of(expression, payload)
    verdict = _WORDS[_compare(expression, value)]
    return [f"{expression} is {verdict}: {expression.path} is {_show(value)}"]


def _value_of(comparison: Comparison, payload: Mapping[str, Any]) -> Any:
    value: Any = payload
    for step in comparison.path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def _compare(comparison: Comparison, value: Any) -> bool | None:
    test = comparison.test
    if test is None:
        raise UsageError("the filter was only parsed; check it against a schema: check_filter()")
    if test.operation == IS_NULL:
        return value is None
    if test.operation == IS_NOT_NULL:
        return value is not None
    if value is None:
        return None
    stored = _store(test, value)
    if test.leaf.kind in FLOATING and math.isnan(stored):
        return None
    return bool(OPERATIONS[test.operation].holds(stored, test.constant))


def _store(test: Test, value: Any) -> Any:
    """Return a payload's value as Avro stores it; text is folded."""
    micros = test.leaf.micros
    match test.leaf.family:
        case "string" | "uuid":
            return str(value).casefold()
        case "enum":
            return test.leaf.indexes[str(value)]
        case "float":
            return _SINGLE.unpack(_SINGLE.pack(value))[0]
        case "decimal":
            return unscaled(value, test.leaf.precision, test.leaf.scale)
        case "date":
            return value.toordinal() - EPOCH_DAY
        case "time":
            return _since_midnight(value) // micros
        case "timestamp":
            return (value - EPOCH) // timedelta(microseconds=micros)
        case "local-timestamp":
            return (value - LOCAL_EPOCH) // timedelta(microseconds=micros)
    return value


def _since_midnight(value: Any) -> int:
    seconds: int = (value.hour * 60 + value.minute) * 60 + value.second
    micros: int = value.microsecond
    return seconds * 1_000_000 + micros


def _show(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return shown(value)
        case Mapping() | list() | tuple() | bytes() | bytearray():
            return "not null"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
