"""Payloads to Avro bytes and back, by one schema.

Bytes are the bare Avro body, without container or prefix. Both classes are immutable and their
methods thread-safe; making one compiles the schema, which takes about a millisecond, so keep them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from platform_events.definitions.avro_numbers import DecodeError
from platform_events.definitions.avro_types import Record, parse_record
from platform_events.definitions.decoder import FAULTS, compile_decoder
from platform_events.definitions.diagnosis import explain
from platform_events.definitions.encoder import REFUSALS, compile_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DecodeError", "PayloadDecoder", "PayloadEncoder"]


class PayloadEncoder:
    """Checks payloads against an Avro record schema and writes them.

    Raises:
        ValueError: `schema` is not an Avro record schema, or a default does not fit its field.
    """

    __slots__ = ("_encode", "_record")

    def __init__(self, schema: Mapping[str, Any] | Record) -> None:
        self._record = parse_record(schema)
        self._encode = compile_encoder(self._record)

    def encode(self, payload: Mapping[str, Any]) -> bytes:
        """Return the payload's Avro body.

        Fields of type `date`, `time-*`, `timestamp-*`, `decimal` and `uuid` take Python's `date`,
        `time`, `datetime`, `Decimal` and `UUID`; a field that has a default may be left out.

        Raises:
            PayloadError: the payload does not fit the schema; `path` names the field.
        """
        try:
            return self._encode(payload)
        except REFUSALS:
            error = explain(self._record, payload)
            if error is None:
                raise
            raise error from None


class PayloadDecoder:
    """Reads Avro bodies that were written with one Avro record schema.

    Raises:
        ValueError: `schema` is not an Avro record schema.
    """

    __slots__ = ("_decode",)

    def __init__(self, schema: Mapping[str, Any] | Record) -> None:
        self._decode = compile_decoder(parse_record(schema))

    def decode(self, body: bytes) -> dict[str, Any]:
        """Return the payload, its fields in the schema's order; time stamps are in UTC.

        Raises:
            DecodeError: the bytes are not exactly one payload of the schema.
        """
        try:
            payload, end = self._decode(body, 0)
        except DecodeError:
            raise
        except tuple(FAULTS) as error:
            raise DecodeError(_reason(error)) from error
        if end == len(body):
            return payload
        if end > len(body):
            raise DecodeError(FAULTS[IndexError])
        raise DecodeError(f"{len(body) - end} bytes are left over behind the payload")


def _reason(error: Exception) -> str:
    return next(reason for kind, reason in FAULTS.items() if isinstance(error, kind))
