"""Payloads as JSON: what a document's values mean, and how decoded payloads are written.

How single values look is in `json_leaves`. Unions have no wrappers: a value's JSON kind names its
branch. Where a union has no branch for numbers, a number goes to the branch whose JSON is text (a
time stamp's bare number), and text to the branch for numbers if it has none for text ("NaN"). In
a union of numbers *and* text "NaN" is therefore text; such a union cannot hold NaN in JSON.

Conversion only changes representations. Whether a payload fits its type is for the encoder to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from platform_events.errors import PayloadError
from platform_events.payloads.diagnosis import explain, key_path
from platform_events.payloads.json_leaves import Converter, default_reader, leaf_reader, leaf_writer
from platform_events.payloads.types import Array, AvroType, Leaf, Map, Record, Union, parse_record
from platform_events.payloads.values import MisfitError, json_kind, show

if TYPE_CHECKING:
    from collections.abc import Callable


def compile_from_json(schema: Mapping[str, Any] | Record) -> Callable[[Any], Any]:
    """Return the function from a JSON document, as `json.loads` gives it, to a payload.

    The function raises `PayloadError` for text that is not what the field's type asks for. Without
    anything to convert it returns the document itself, else a copy.

    Raises:
        ValueError: `schema` is not an Avro record schema.
    """
    convert = _Compiler(leaf_reader).converter(parse_record(schema))
    return _unchanged if convert is None else partial(_read, convert)


def compile_to_json(schema: Mapping[str, Any] | Record) -> Callable[[dict[str, Any]], Any]:
    """Return the function from a decoded payload to what `json.dumps` takes.

    Without anything to convert it returns the payload itself, else a copy.

    Raises:
        ValueError: `schema` is not an Avro record schema.
    """
    return _Compiler(leaf_writer).converter(parse_record(schema)) or _unchanged


def read_default(avro_type: AvroType, default: Any) -> Any:
    """Return the payload value that a field's `default` in a schema stands for.

    Avro writes defaults otherwise than this module writes payloads: the code points of a text are
    the bytes of bytes, fixed and decimals; dates, times and time stamps are numbers. In a union
    the first branch that fits is meant.

    Raises:
        PayloadError: it does not fit the type.
    """
    convert = _DefaultCompiler(default_reader).converter(avro_type)
    value = default if convert is None else _read(convert, default)
    error = explain(avro_type, value)
    if error:
        raise error
    return value


def default_values(avro_type: AvroType) -> dict[Record, dict[str, Any]]:
    """Return the values of fields that may be left out, by record in a type and field.

    Raises:
        ValueError: a default does not fit its field.
    """
    found: dict[Record, dict[str, Any]] = {}
    _collect_defaults(avro_type, found)
    return found


def _collect_defaults(avro_type: AvroType, found: dict[Record, dict[str, Any]]) -> None:
    match avro_type:
        case Array(items=part) | Map(values=part):
            _collect_defaults(part, found)
        case Union(branches=branches):
            for branch in branches:
                _collect_defaults(branch, found)
        case Record(name=name, fields=fields) if avro_type not in found:
            values = found[avro_type] = {}
            for item in fields:
                _collect_defaults(item.type, found)
                if item.has_default:
                    try:
                        values[item.name] = read_default(item.type, item.default)
                    except PayloadError as error:
                        raise ValueError(f"default of {item.name} in {name}: {error}") from None


def _read(convert: Converter, document: Any) -> Any:
    try:
        return convert(document)
    except MisfitError as misfit:
        raise PayloadError(misfit.path.removeprefix("."), str(misfit)) from None


def _unchanged(value: Any) -> Any:
    return value


class _Compiler:
    """Builds converters that touch only what needs it; None stands for "as it is".

    `leaf` returns the converter of a type without parts. Converters raise `MisfitError`.
    """

    def __init__(self, leaf: Callable[[Leaf], Converter | None]) -> None:
        self._leaf = leaf
        self._records: dict[Record, Converter | None] = {}

    def converter(self, avro_type: AvroType) -> Converter | None:
        """Return the converter of a type, None if nothing is to be done."""
        match avro_type:
            case Array(items=items):
                convert = self.converter(items)
                return convert and partial(_convert_items, convert)
            case Map(values=values):
                convert = self.converter(values)
                return convert and partial(_convert_values, convert)
            case Union():
                return self._union(avro_type)
            case Record():
                return self._record(avro_type)
        return self._leaf(avro_type)

    def _union(self, union: Union) -> Converter | None:
        by_kind = {}
        for kind in ("boolean", "number", "string", "array", "object"):
            branch = union.branch_of(kind)
            if branch is not None:
                by_kind[kind] = self.converter(branch)
        by_kind.setdefault("number", by_kind.get("string"))
        by_kind.setdefault("string", by_kind["number"])
        return partial(_convert_branch, by_kind) if any(by_kind.values()) else None

    def _record(self, record: Record) -> Converter | None:
        if record not in self._records:
            converters = [(item.name, self.converter(item.type)) for item in record.fields]
            fields = [(name, convert) for name, convert in converters if convert is not None]
            self._records[record] = partial(_convert_fields, fields) if fields else None
        return self._records[record]


class _DefaultCompiler(_Compiler):
    """For defaults, which belong to the first branch that they fit."""

    def _union(self, union: Union) -> Converter:
        return partial(_convert_first, [(item, self.converter(item)) for item in union.branches])


def _convert_first(branches: list[tuple[AvroType, Converter | None]], default: Any) -> Any:
    for branch, convert in branches:
        try:
            value = default if convert is None else convert(default)
        except MisfitError:
            continue
        if explain(branch, value) is None:
            return value
    raise MisfitError(f"no branch of the union takes {show(default)}")


def _convert_fields(fields: list[tuple[str, Converter]], value: Any) -> Any:
    if not isinstance(value, (dict, Mapping)):
        return value
    result = dict(value)
    for name, convert in fields:
        if name in result:
            try:
                result[name] = convert(result[name])
            except MisfitError as misfit:
                misfit.path = f".{name}{misfit.path}"
                raise
    return result


def _convert_values(convert: Converter, value: Any) -> Any:
    if not isinstance(value, (dict, Mapping)):
        return value
    result = {}
    for key, item in value.items():
        try:
            result[key] = convert(item)
        except MisfitError as misfit:
            misfit.path = key_path("", key) + misfit.path
            raise
    return result


def _convert_items(convert: Converter, value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        return value
    result = []
    for index, item in enumerate(value):
        try:
            result.append(convert(item))
        except MisfitError as misfit:
            misfit.path = f"[{index}]{misfit.path}"
            raise
    return result


def _convert_branch(by_kind: dict[str, Converter | None], value: Any) -> Any:
    convert = by_kind.get(json_kind(value))
    return value if convert is None else convert(value)
