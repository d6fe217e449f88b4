"""Payloads and what becomes of them, for tests."""

from __future__ import annotations

import enum
import io
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

import fastavro
import pytest

from platform_events.errors import PayloadError
from platform_events.payloads.codec import PayloadDecoder, PayloadEncoder


class Color(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


def round_trip(schema: dict[str, Any], payload: Any) -> dict[str, Any]:
    return PayloadDecoder(schema).decode(PayloadEncoder(schema).encode(payload))


def refuse(schema: dict[str, Any], payload: Any) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        PayloadEncoder(schema).encode(payload)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return caught.value


NOW = datetime(2024, 1, 31, 12, 30, tzinfo=UTC)
NAIVE = NOW.replace(tzinfo=None)
DAY = date(2024, 1, 31)
NOON = time(12)
ID = UUID("123e4567-e89b-12d3-a456-426614174000")
TEXTS = {"type": "array", "items": "string"}


def decode(schema: dict[str, Any], body: bytes) -> dict[str, Any]:
    return PayloadDecoder(schema).decode(body)


def read_by_library(schema: dict[str, Any], body: bytes) -> Any:
    """Return what fastavro makes of all the bytes."""
    stream = io.BytesIO(body)
    payload = fastavro.schemaless_reader(stream, schema, None)
    assert stream.read() == b""
    return payload


def varint(number: int) -> bytes:
    code = number << 1 if number >= 0 else ~(number << 1)
    data = bytearray()
    while code > 127:
        data.append(code & 127 | 128)
        code >>= 7
    return bytes([*data, code])
