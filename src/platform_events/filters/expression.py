"""Filters as trees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from platform_events.wording import cut, listed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    from platform_events.filters.operations import Test


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant as it was written."""

    kind: str
    """`null`, `boolean`, `number`, `text`, `date`, `time`, `timestamp` or `local-timestamp`."""
    value: Fraction | str | bool | None
    """The number; days or microseconds since 1970-01-01 (UTC), microseconds since midnight."""
    text: str = field(compare=False)
    """As it is written in the expression."""
    start: int = field(compare=False)
    """Index of its first character in the expression."""
    end: int = field(compare=False)
    """Index after its last character."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field compared with one literal, or with several for IN and NOT IN."""

    path: str
    """The field: its name, with the names of the records around it before, joined by dots."""
    operator: str
    """`=`, `!=`, `<`, `<=`, `>`, `>=`, `LIKE`, `IN` or `NOT IN`."""
    literals: tuple[Literal, ...]
    """At least one; exactly one unless the operator takes a list."""
    start: int = field(compare=False)
    """Index of the field's first character in the expression."""
    operator_start: int = field(compare=False)
    """Index of the operator's first character in the expression."""
    operator_end: int = field(compare=False)
    """Index after the operator's last character."""
    test: Test | None = field(default=None, compare=False)
    """What is asked of the field's value; None until the filter is checked against a schema."""

    def __str__(self) -> str:
        """Return the comparison on one line, cut where it is long."""
        words = [cut(literal.text) for literal in self.literals]
        value = f"({listed(words)})" if self.operator.endswith("IN") else words[0]
        return " ".join(f"{self.path} {self.operator} {value}".splitlines())


@dataclass(frozen=True, slots=True)
class Not:
    """True where its operand is false."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class And:
    """True where all operands are."""

    operands: tuple[Expression, ...]
    """At least two."""


@dataclass(frozen=True, slots=True)
class Or:
    """True where any operand is."""

    operands: tuple[Expression, ...]
    """At least two."""


Expression = Comparison | Not | And | Or


def comparisons_in(expression: Expression) -> Iterator[Comparison]:
    """Yield the comparisons of an expression in their order."""
    match expression:
        case Comparison():
            yield expression
        case Not(operand=operand):
            yield from comparisons_in(operand)
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                yield from comparisons_in(operand)


def filter_fields(expression: Expression) -> frozenset[str]:
    """Return the dotted paths of the fields that an expression reads."""
    return frozenset(comparison.path for comparison in comparisons_in(expression))
