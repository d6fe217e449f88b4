"""Answers in the form of Confluent's Schema Registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryAnswer(JSONResponse):
    """A JSON document."""

    media_type = MEDIA_TYPE


def refuse(
    status: int, message: str, code: int | None = None, headers: Mapping[str, str] | None = None
) -> RegistryAnswer:
    """Return an error. Its `error_code` is the status itself, unless there is a finer one."""
    return RegistryAnswer({"error_code": code or status, "message": message}, status, headers)
