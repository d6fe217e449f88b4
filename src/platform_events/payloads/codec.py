"""Payloads to Avro bytes and back, by functions that are generated once for each schema.

Bytes are the bare Avro body, without container or prefix. All is thread-safe; making one compiles
the schema, which takes about a millisecond, so keep them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from platform_events.errors import PayloadError
from platform_events.payloads.diagnosis import explain
from platform_events.payloads.encoder import compile_encoder
from platform_events.payloads.json_values import default_values
from platform_events.payloads.reader import compile_decoder, compile_walk
from platform_events.payloads.types import parse_record
from platform_events.payloads.values import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DecodeError", "PayloadDecoder", "PayloadEncoder", "PayloadWalk"]


class PayloadEncoder:
    """Checks payloads against an Avro record schema and writes them.

    Raises:
        ValueError: `schema` is not an Avro record schema, or a default does not fit its field.
    """

    __slots__ = ("encode",)

    encode: Callable[[Mapping[str, Any]], bytes]
    """Return the payload's Avro body.

    Fields of type `date`, `time-*`, `timestamp-*`, `decimal` and `uuid` take Python's `date`,
    `time`, `datetime`, `Decimal` and `UUID`; a field that has a default may be left out.

    Raises:
        PayloadError: the payload does not fit the schema; `path` names the field.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        record = parse_record(schema)

        def blame(payload: Any, error: Exception) -> NoReturn:
            if isinstance(error, (MemoryError, RecursionError)):
                raise error
            found = explain(record, payload)
            if found is not None:
                raise found from None
            raise PayloadError("", "the payload changed while it was encoded") from error

        self.encode = compile_encoder(record, default_values(record), blame)


class PayloadDecoder:
    """Reads Avro bodies that were written with one Avro record schema.

    Raises:
        ValueError: `schema` is not an Avro record schema, or a default does not fit its field.
    """

    __slots__ = ("decode",)

    decode: Callable[[bytes], dict[str, Any]]
    """Return the payload, its fields in the schema's order; time stamps are in UTC.

    Raises:
        DecodeError: the bytes are not exactly one payload of the schema.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        record = parse_record(schema)
        default_values(record)
        self.decode = compile_decoder(record)


class PayloadWalk:
    """Judges Avro bodies without decoding them, by one Avro record schema.

    Raises:
        ValueError: `schema` is not an Avro record schema.
    """

    __slots__ = ("check",)

    check: Callable[[bytes], None]
    """Return if the bytes are exactly one payload that decodes, and then encodes again.

    Raises:
        DecodeError: they are not.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.check = compile_walk(parse_record(schema))
