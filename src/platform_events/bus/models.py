"""Payloads as dataclasses and pydantic models, in both directions.

A field of the event is the model's field that has its name or one of its aliases, so that what a
model publishes it also reads.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin
from uuid import UUID

from pydantic import AliasChoices, BaseModel, TypeAdapter, ValidationError

from platform_events.definitions.schema import SYSTEM_FIELDS
from platform_events.errors import PayloadError, UsageError
from platform_events.names import is_event_name
from platform_events.wording import one_of

Convert: TypeAlias = Callable[[dict[str, Any]], Any]
"""From a decoded payload to an instance; raises a `ValueError` for one that does not fit."""
ModelArgument: TypeAlias = "type[Any] | UnionType | Mapping[str, type[Any]]"
"""A model, a union of some, or a mapping of event names to models."""
_FORMS = "a dataclass, a pydantic model, a union of these, or a mapping of event names to these"
_MOST_DUMPS = 1_000
_LEAVES = frozenset((str, int, float, bool, type(None), bytes, Decimal, date, datetime, time, UUID))
"""Types whose values are in payloads as they are: most are, and asking further takes longer."""


def as_mapping(payload: Any, fields: frozenset[str]) -> Mapping[str, Any]:
    """Return a payload's fields.

    Args:
        payload: of a mapping, nothing is changed; of models, enums become their values.
        fields: names of the event's fields, by which aliases and computed fields are chosen.

    Raises:
        PayloadError: it is neither a mapping, nor a dataclass's or pydantic model's instance.
    """
    kind: type = type(payload)
    try:
        if hasattr(kind, "__pydantic_serializer__"):
            dumped = _dump(payload, _plan_dump(kind, fields))
        elif isinstance(payload, Mapping):
            return payload
        else:
            dumped = _plain(payload)
    except Exception as error:
        raise PayloadError("", f"{kind.__name__} gives no fields: {error}") from error
    if type(dumped) is dict:
        return dumped
    raise PayloadError(
        "", f"a payload is a mapping, a dataclass or a pydantic model, not {kind.__name__}"
    )


class Models:
    """What payloads of each event become instances of.

    Args:
        model: for all events, or a mapping of names to what is for each.
        otherwise: for the events that the mapping does not name; None: they are refused.

    Raises:
        UsageError: `model` is none of the forms, or pydantic cannot make a validator for it.
    """

    def __init__(self, model: Any, otherwise: Any = None) -> None:
        self._by_event: dict[str, Convert] = {}
        self._any: Convert | None = None
        self._union: Sequence[type[Any]] = ()
        if isinstance(model, Mapping):
            if not model and otherwise is None:
                raise UsageError("the mapping of event names to models is empty")
            for event, one in model.items():
                if not isinstance(event, str) or not is_event_name(event):
                    raise UsageError(f"models: {event!r} is not an event's name")
                self._by_event[event] = _compile(one, _classes(one))
        else:
            otherwise = model
        if otherwise is not None:
            self._union = _classes(otherwise)
            self._any = _compile(otherwise, self._union)

    def match(self, events: Sequence[str]) -> None:
        """Let each event of a channel have the class of the union that is named after it.

        The payloads alone do not tell: those of two events may look the same.

        Raises:
            UsageError: a class is named after none of the events, or after several.
        """
        if len(self._union) < 2:
            return
        unnamed = [event for event in events if event not in self._by_event]
        for one in self._union:
            named = [event for event in unnamed if _bare(event) == _bare(one.__name__)]
            if len(named) != 1:
                raise UsageError(
                    f"model {one.__name__} is not named after one event of the channel: "
                    f"{one_of(unnamed)}; give a mapping of event names to models"
                )
            self._by_event[named[0]] = _compile(one, (one,))
        self._any = None

    def converter(self, event: str) -> Convert:
        """Return what makes instances of payloads of an event."""

        def refuse(_: dict[str, Any]) -> Any:
            raise ValueError(f"there is none for {event}; dict takes payloads as they are")

        return self._by_event.get(event) or self._any or refuse


def _bare(name: str) -> str:
    """Return what names of an event and of its class have in common."""
    return name.removesuffix("__e").replace("_", "").casefold()


def _classes(model: Any) -> Sequence[type[Any]]:
    """Return the classes that a model stands for: itself, or those of a union."""
    if hasattr(model, "__value__"):
        return _classes(model.__value__)
    if get_origin(model) is Annotated:
        return _classes(get_args(model)[0])
    if get_origin(model) in (Union, UnionType):
        return [one for part in get_args(model) for one in _classes(part)]
    origin = get_origin(model) or model
    if isinstance(origin, type) and (
        origin is dict or issubclass(origin, BaseModel) or dataclasses.is_dataclass(origin)
    ):
        return (origin,)
    raise UsageError(f"model {model!r:.100} must be {_FORMS}")


def _compile(model: Any, classes: Iterable[type[Any]]) -> Convert:
    """Return what makes instances of a model.

    What the model does not have is left out if it is a system field, or computed.
    """
    if model is dict:
        return lambda payload: payload
    try:
        validate = TypeAdapter(model).validate_python
    except Exception as error:
        raise UsageError(f"model {model!r:.100} is not supported: {error}") from error
    known = [names for one in classes for names in _field_names(one)]
    accepted = {name for names in known for name in names.read}
    computed = {name for one in classes for names in _computed_names(one) for name in names.read}
    surplus = {*SYSTEM_FIELDS, *computed} - accepted
    renamed = [(n.written, n.name) for n in known if n.written not in accepted]
    label = getattr(model, "__name__", "the models")

    def convert(payload: dict[str, Any]) -> Any:
        for name in surplus:
            payload.pop(name, None)
        for written, name in renamed:
            if written in payload:
                payload.setdefault(name, payload.pop(written))
        try:
            return validate(payload, by_alias=True, by_name=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"{label}.{place}: {first['msg']}") from error

    return convert


@dataclasses.dataclass(frozen=True, slots=True)
class _Names:
    """What a model's field may be called in an event."""

    name: str
    """Its own name."""
    written: str
    """Its serialization alias, else its own name."""
    read: tuple[str, ...]
    """Its validation aliases, and its own name."""


def _field_names(model: type[Any]) -> list[_Names]:
    fields = getattr(model, "__pydantic_fields__", None)
    if fields is None:
        own = dataclasses.fields(model) if dataclasses.is_dataclass(model) else ()
        return [_Names(field.name, field.name, (field.name,)) for field in own]
    return [
        _Names(name, info.serialization_alias or name, (*_texts(info.validation_alias), name))
        for name, info in fields.items()
    ]


def _computed_names(model: type[Any]) -> list[_Names]:
    decorators = getattr(model, "__pydantic_decorators__", None)
    computed = decorators.computed_fields if decorators is not None else {}
    return [
        _Names(name, one.info.alias or name, (one.info.alias or name, name))
        for name, one in computed.items()
    ]


def _texts(alias: Any) -> list[str]:
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return [choice for choice in choices if isinstance(choice, str)]


@dataclasses.dataclass(frozen=True, slots=True)
class _Dump:
    """How instances of a model become payloads of one event."""

    is_model: bool
    """Not a pydantic dataclass."""
    options: dict[str, Any]
    renamed: Sequence[tuple[str, str]]
    """What comes out under another name than the event has, and that name."""
    computed: Sequence[tuple[str, str]]
    """Fields of the event that are computed, and the attribute that does it."""


@lru_cache(_MOST_DUMPS)
def _plan_dump(model: type, fields: frozenset[str]) -> _Dump:
    known = _field_names(model)
    aliases, own = {names.written for names in known}, {names.name for names in known}
    by_alias = len(aliases & fields) >= len(own & fields)
    renamed = []
    for names in known:
        comes_out = names.written if by_alias else names.name
        others = [one for one in (names.written, *names.read) if one in fields]
        if comes_out not in fields and others:
            renamed.append((comes_out, others[0]))
    computed = [
        (one, names.name) for names in _computed_names(model) for one in names.read if one in fields
    ]
    return _Dump(
        issubclass(model, BaseModel),
        {"by_alias": by_alias, "exclude_computed_fields": True},
        renamed,
        computed,
    )


def _plain(value: Any) -> Any:
    """Return a value with mappings for its models and values for its enums."""
    kind: type = type(value)
    if kind in _LEAVES:
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if kind is dict:
        return {
            key if type(key) is str else _plain(key): one if type(one) in _LEAVES else _plain(one)
            for key, one in value.items()
        }
    if kind is list or kind is tuple:
        return kind(map(_plain, value))
    if hasattr(kind, "__pydantic_serializer__"):
        return _dump(value, _plan_dump(kind, frozenset()))
    if dataclasses.is_dataclass(kind):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(kind)
        }
    return value


def _dump(value: Any, plan: _Dump) -> Any:
    if plan.is_model:
        dumped = value.model_dump(**plan.options)
    else:
        dumped = value.__pydantic_serializer__.to_python(value, **plan.options)
    if type(dumped) is dict:
        for comes_out, name in plan.renamed:
            if comes_out in dumped:
                dumped[name] = dumped.pop(comes_out)
        for name, attribute in plan.computed:
            dumped[name] = getattr(value, attribute)
        if _LEAVES.issuperset(map(type, dumped.values())):
            return dumped
    return _plain(dumped)
