"""Payloads as dataclasses and pydantic models, in both directions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from platform_events.definitions.schema import SYSTEM_FIELDS
from platform_events.errors import PayloadError, UsageError

Model = TypeVar("Model")


def as_mapping(payload: Any) -> Mapping[str, Any]:
    """Return a payload's fields.

    Raises:
        PayloadError: it is neither a mapping, nor a dataclass's or pydantic model's instance.
    """
    if isinstance(payload, Mapping):
        return payload
    try:
        if isinstance(payload, BaseModel):
            return payload.model_dump()
        if dataclasses.is_dataclass(payload) and not isinstance(payload, type):
            return dataclasses.asdict(payload)
    except Exception as error:
        raise PayloadError("", f"{type(payload).__name__} gives no fields: {error}") from error
    raise PayloadError(
        "",
        f"a payload is a mapping, a dataclass or a pydantic model, not {type(payload).__name__}",
    )


def compile_model(model: type[Model]) -> Callable[[dict[str, Any]], Model]:
    """Return a function from decoded payloads to instances of `model`.

    System fields that the model does not have are left out. The function raises a `ValueError`
    for a payload that does not fit.

    Raises:
        UsageError: pydantic cannot make a validator for `model`.
    """
    try:
        adapter = TypeAdapter(model)
    except Exception as error:
        raise UsageError(f"model {model!r} is not supported: {error}") from error
    wanted = _field_names(model)
    surplus = [name for name in SYSTEM_FIELDS if name not in wanted]

    def convert(payload: dict[str, Any]) -> Model:
        for name in surplus:
            payload.pop(name, None)
        try:
            return adapter.validate_python(payload)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{model.__name__}.{place}: {first['msg']}") from error

    return convert


def _field_names(model: type[Any]) -> set[str]:
    if issubclass(model, BaseModel):
        return set(model.model_fields)
    if dataclasses.is_dataclass(model):
        return {field.name for field in dataclasses.fields(model)}
    raise UsageError(f"model {model!r} must be a dataclass or a pydantic model")
