"""Payloads to Avro bytes and back, by one schema: fastavro, with a guard before it.

Bytes are the bare Avro body, without container or prefix. Both classes are thread-safe; making one
compiles the schema, which takes about a millisecond, so keep them.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from platform_events.errors import PayloadError
from platform_events.payloads.diagnosis import explain
from platform_events.payloads.guard import compile_guard
from platform_events.payloads.json_values import Compiler
from platform_events.payloads.library_schema import library_schema
from platform_events.payloads.types import parse_record
from platform_events.payloads.values import decimal_reader, decimal_writer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DecodeError", "PayloadDecoder", "PayloadEncoder"]

_CHANGED = "the payload changed while it was encoded"


class DecodeError(ValueError):
    """These bytes are not a payload of the schema. The text is the reason, one line."""


class PayloadEncoder:
    """Checks payloads against an Avro record schema and writes them.

    Raises:
        ValueError: `schema` is not an Avro record schema, or a default does not fit its field.
    """

    __slots__ = ("_convert", "_fits", "_record", "_schema", "_write")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from fastavro import schemaless_writer

        self._record = parse_record(schema)
        self._schema, defaults = library_schema(schema, self._record)
        self._convert = Compiler(decimal_writer).converter(self._record)
        self._fits = compile_guard(self._record, defaults)
        self._write: Any = schemaless_writer

    def encode(self, payload: Mapping[str, Any]) -> bytes:
        """Return the payload's Avro body.

        Fields of type `date`, `time-*`, `timestamp-*`, `decimal` and `uuid` take Python's `date`,
        `time`, `datetime`, `Decimal` and `UUID`; a field that has a default may be left out.

        Raises:
            PayloadError: the payload does not fit the schema; `path` names the field.
        """
        if not self._fits(payload):
            raise explain(self._record, payload) or PayloadError("", _CHANGED)
        buffer = BytesIO()
        try:
            if self._convert is not None:
                payload = self._convert(payload)
            # By position, which is faster: not strict, no strict defaults, no tuple notation.
            self._write(buffer, self._schema, payload, False, False, True)
        except Exception as error:
            raise PayloadError("", _CHANGED) from error
        return buffer.getvalue()


class PayloadDecoder:
    """Reads Avro bodies that were written with one Avro record schema.

    Raises:
        ValueError: `schema` is not an Avro record schema.
    """

    __slots__ = ("_convert", "_read", "_schema")

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from fastavro import schemaless_reader

        record = parse_record(schema)
        self._schema, _ = library_schema(schema, record)
        self._convert = Compiler(decimal_reader).converter(record)
        self._read: Any = schemaless_reader

    def decode(self, body: bytes) -> dict[str, Any]:
        """Return the payload, its fields in the schema's order; time stamps are in UTC.

        Raises:
            DecodeError: the bytes are not exactly one payload of the schema.
        """
        stream = BytesIO(body)
        try:
            payload: dict[str, Any] = self._read(stream, self._schema, None)
            left = len(body) - stream.tell()
            if not left and self._convert:
                payload = self._convert(payload)
        except Exception as error:
            raise DecodeError(_reason(error)) from error
        if left:
            raise DecodeError(f"{left} bytes are left over after the payload")
        return payload


def _reason(error: Exception) -> str:
    match error:
        case EOFError() | IndexError():
            return "the bytes end within a value, or name a branch or symbol that is not there"
        case UnicodeDecodeError():
            return "a text is not valid UTF-8"
        case OverflowError():
            return "a date or time is outside the years 1 to 9999"
    return f"{error!s:.100}".partition("\n")[0]
