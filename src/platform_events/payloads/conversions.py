"""Between Python's values and what Avro stores for them, as pieces of generated source.

`{0}` is a variable. What most values of a kind are is tested in place; for the rest, `checked`
asks the kind's own check.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, SafeUUID

from platform_events.payloads.values import (
    EPOCH,
    EPOCH_DAY,
    LOCAL_EPOCH,
    leaf_check,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.payloads.types import Leaf

_OF_DAY = "{0}.hour * 3600{1} + {0}.minute * 60{1} + {0}.second * 1{1} + {0}.microsecond"
_SINCE = "({0} := {0} - {2}).days * 86400{1} + {0}.seconds * 1{1} + {0}.microseconds"
_TIME = "time({0} // 3600{1}, {0} // 60{1} % 60, {0} // 1{1} % 60, {0} % 1{1}{2})"
_MILLIS, _MICROS = "000", "000000"

UNUSUAL = {
    "null": "{0} is not None",
    "boolean": "type({0}) is not bool",
    "int": "type({0}) is not int",
    "long": "type({0}) is not int",
    "float": "type({0}) is not float",
    "double": "type({0}) is not float",
    "bytes": "type({0}) is not bytes",
    "fixed": "type({0}) is not bytes or len({0}) != {1}",
    "enum": "type({0}) is not str",
    "decimal": "type({0}) is not Decimal",
    "uuid": "type({0}) is not UUID",
    "date": "type({0}) is not date",
    "time": "type({0}) is not time or {0}.tzinfo is not None",
    "timestamp": "type({0}) is not datetime or {0}.tzinfo is not UTC",
    "local-timestamp": "type({0}) is not datetime or {0}.tzinfo is not None",
}
"""By family, what is true of a value that has to be checked."""

TO_NUMBER = {
    "date": f"{{0}}.toordinal() - {EPOCH_DAY}",
    "time-millis": f"{_OF_DAY} // 1000".format("{0}", _MILLIS),
    "time-micros": _OF_DAY.format("{0}", _MICROS),
    "timestamp-millis": f"{_SINCE} // 1000".format("{0}", _MILLIS, "EPOCH"),
    "timestamp-micros": _SINCE.format("{0}", _MICROS, "EPOCH"),
    "local-timestamp-millis": f"{_SINCE} // 1000".format("{0}", _MILLIS, "LOCAL_EPOCH"),
    "local-timestamp-micros": _SINCE.format("{0}", _MICROS, "LOCAL_EPOCH"),
}
"""The number that Avro stores for a value; what is finer than its unit is cut off."""

FROM_NUMBER = {
    "date": f"date_of({{0}} + {EPOCH_DAY})",
    "time-millis": _TIME.format("{0}", _MILLIS, " * 1000"),
    "time-micros": _TIME.format("{0}", _MICROS, ""),
    "timestamp-millis": "EPOCH + {0} * MILLISECOND",
    "timestamp-micros": "EPOCH + {0} * MICROSECOND",
    "local-timestamp-millis": "LOCAL_EPOCH + {0} * MILLISECOND",
    "local-timestamp-micros": "LOCAL_EPOCH + {0} * MICROSECOND",
}
"""The value that such a number stands for; it raises `ValueError` or `OverflowError`."""


def checked(leaf: Leaf) -> Callable[[Any], Any]:
    """Return the function that returns any value that fits, as the usual ones are.

    It raises `MisfitError` for one that does not fit.
    """
    check, usual = leaf_check(leaf), _USUAL.get(leaf.kind)

    def convert(value: Any) -> Any:
        check(value)
        return value if usual is None else usual(value)

    return convert


_USUAL: dict[str, Callable[[Any], Any]] = {
    "int": int.__int__,
    "long": int.__int__,
    "float": float,
    "double": float,
    "bytes": bytes,
    "fixed": bytes,
    "enum": str.__str__,
}


def uuid_bytes(value: UUID) -> bytes:
    """Return a UUID's text."""
    text = f"{value.int:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()


def uuid_of(text: str) -> UUID:
    """Return the UUID of a text, of any that `UUID` takes, in half its time.

    Raises:
        ValueError: it is none.
    """
    digits = text.replace("-", "")
    if len(digits) != 32:
        return UUID(text)
    value = UUID.__new__(UUID)
    object.__setattr__(value, "int", int(digits, 16))
    object.__setattr__(value, "is_safe", SafeUUID.unknown)
    return value


NAMES: dict[str, Any] = {
    "EPOCH": EPOCH,
    "LOCAL_EPOCH": LOCAL_EPOCH,
    "MILLISECOND": timedelta(milliseconds=1),
    "MICROSECOND": timedelta(microseconds=1),
    "Decimal": Decimal,
    "UTC": UTC,
    "UUID": UUID,
    "date": date,
    "date_of": date.fromordinal,
    "datetime": datetime,
    "time": time,
    "uuid_of": uuid_of,
    "uuid_bytes": uuid_bytes,
}
"""What the pieces use."""
