"""What can be asked of a stored value, as a function and as Python source."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.payloads.types import Leaf


@dataclass(frozen=True, slots=True)
class Operation:
    """How a value that is there is judged."""

    source: str
    """Python expression for the value `{0}` and the constant `{1}`."""
    holds: Callable[[Any, Any], Any]
    """The same as a function."""
    opposite: str
    """Key of the operation that is true where this one is false."""


OPERATIONS = {
    "==": Operation("{0} == {1}", operator.eq, "!="),
    "!=": Operation("{0} != {1}", operator.ne, "=="),
    "<": Operation("{0} < {1}", operator.lt, ">="),
    ">=": Operation("{0} >= {1}", operator.ge, "<"),
    ">": Operation("{0} > {1}", operator.gt, "<="),
    "<=": Operation("{0} <= {1}", operator.le, ">"),
    "in": Operation("{0} in {1}", lambda value, values: value in values, "not in"),
    "not in": Operation("{0} not in {1}", lambda value, values: value not in values, "in"),
    "like": Operation("{1}({0})", lambda value, matches: matches(value), "not like"),
    "not like": Operation("not {1}({0})", lambda value, matches: not matches(value), "like"),
}
"""By key, which is what a `Test` names."""
IS_NULL = "is null"
IS_NOT_NULL = "is not null"


@dataclass(frozen=True, slots=True)
class Test:
    """What is asked of a field's stored value."""

    leaf: Leaf
    """Type of the value, without null; `null` if it is never there, or only that matters."""
    operation: str
    """`is null`, `is not null`, or a key of `OPERATIONS`, for values that are not null."""
    constant: Any = None
    """What the value is compared with."""
