"""What a function says about how it handles events: its arguments and their annotations."""

from __future__ import annotations

import builtins
import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

from platform_events.bus.event import Event
from platform_events.bus.models import Models
from platform_events.errors import UsageError
from platform_events.workers.context import Context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

_LISTS = (list, Sequence)
_NO_MODELS = (Any, object, dict, Mapping)
"""What payloads are that become instances of nothing."""
_OFTEN_UNIMPORTED: dict[str, Any] = {
    "Any": Any, "Context": Context, "Event": Event, "Mapping": Mapping, "Sequence": Sequence,
}  # fmt: skip
"""Names that many import for type checkers only, and that annotations may have all the same."""
_WORD = re.compile(r"\w+")
_FORMS = "Event[...], or list[Event[...]] for many at a time"
_SIGNATURE = "write it as (event, context) or (event)"


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """A handler of events, and what it takes."""

    function: Callable[[Any, Context], Any]
    """Takes an event, or a list of them, and the context; a coroutine function if `is_async`."""
    type: str | None
    """Name of the event that it is for; None: of all that have no other handler."""
    model: Any
    """What payloads become instances of; None: they are dicts."""
    takes_list: bool
    """Whether it takes a list of events."""
    is_async: bool
    """Whether what it returns is awaited; else it runs in a thread."""
    name: str
    """Of the function."""
    place: str
    """Where that is, as `file:line`."""

    def error(self, problem: str) -> UsageError:
        """Return an error that names the handler and where it is."""
        return UsageError(f"{self.place}: handler {self.name} {problem}")


def describe_handler(
    function: Any, type_: str | None, model: Any, caller: FrameType | None
) -> HandlerSpec:
    """Return what a function says about itself.

    Args:
        function: any callable, of `(event, context)` or `(event)`.
        type_: name of the event that it is for, or None.
        model: what payloads become instances of; None: what its annotation says.
        caller: who registers it: annotations may have names of functions that run there.

    Raises:
        UsageError: it cannot handle events, or its annotation is none that is understood.
    """
    layers = list(_layers(function))
    name = _name(layers[-1])
    spec = HandlerSpec(
        function=function,
        type=type_,
        model=None,
        takes_list=False,
        is_async=any(inspect.iscoroutinefunction(layer) for layer in layers),
        name=name,
        place=_place(getattr(layers[-1], "__code__", None), caller),
    )
    if inspect.isclass(function):
        raise spec.error(
            "is a class: give a function, or an instance that can be called; a model is given as "
            f"@app.handler(model={function.__name__})"
        )
    if any(map(inspect.isgeneratorfunction, layers)) or any(
        map(inspect.isasyncgenfunction, layers)
    ):
        raise spec.error("has a yield, and nobody asks for what it yields: leave it out")
    first, takes_context = _look_at_parameters(function, spec)
    takes_list, annotated = _look_at_annotation(first, layers[-1], caller, spec)
    if model is None:
        model = _known(annotated, spec)
    model = None if _is_plain(model) else model
    if model is not None:
        try:
            Models(model if type_ is None else {type_: model})
        except UsageError as error:
            raise spec.error(f"has no usable model: {error}") from None
    return HandlerSpec(
        function=_unified(function, takes_context=takes_context, spec=spec),
        type=type_,
        model=model,
        takes_list=takes_list,
        is_async=spec.is_async,
        name=name,
        place=spec.place,
    )


def _layers(function: Any) -> Iterator[Any]:
    """Yield a callable, and what it calls in the end, as far as that can be seen."""
    seen: set[int] = set()
    while id(function) not in seen:
        seen.add(id(function))
        yield function
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif not inspect.isroutine(function) and not inspect.isclass(function):
            function = type(function).__call__


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__)).rpartition("<locals>.")[
        2
    ]


def _place(code: CodeType | None, caller: FrameType | None) -> str:
    if code is not None:
        file, line = code.co_filename, code.co_firstlineno
    elif caller is not None:
        file, line = caller.f_code.co_filename, caller.f_lineno
    else:
        return "unknown place"
    return f"{shown_path(file)}:{line}"


def shown_path(file: str) -> str:
    """Return a path as people in the working directory would write it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _look_at_parameters(function: Any, spec: HandlerSpec) -> tuple[inspect.Parameter | None, bool]:
    """Return the parameter that gets the event, if it has a name, and whether one gets the context.

    Raises:
        UsageError: it cannot be called with an event.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise spec.error(f"does not show what it takes: wrap it, and {_SIGNATURE}") from None
    kinds = inspect.Parameter
    named = [
        one
        for one in parameters
        if one.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    ]
    needed = [one for one in named if one.default is one.empty]
    takes_any = any(one.kind is kinds.VAR_POSITIONAL for one in parameters)
    for one in parameters:
        if one.kind is kinds.KEYWORD_ONLY and one.default is one.empty:
            raise spec.error(
                f"needs the keyword argument {one.name}, which nobody gives: {_SIGNATURE}, and "
                "bind what else it needs by functools.partial"
            )
    if len(needed) > 2:
        method = needed[0].name in ("self", "cls")
        advice = "register the method of an instance, as in app.handler(billing.bill)"
        raise spec.error(
            f"needs {len(needed)} arguments: {advice if method else _SIGNATURE}"
            f"{'' if method else ', and bind what else it needs by functools.partial'}"
        )
    if not named and not takes_any:
        raise spec.error(f"takes no argument: {_SIGNATURE}")
    takes_context = len(needed) == 2 or (len(named) < 2 and takes_any)
    if not takes_context and len(named) > 1:
        # Optional ones are the function's own, unless they ask for it.
        asked = inspect.formatannotation(named[1].annotation)
        takes_context = named[1].name == "context" or "Context" in _WORD.findall(asked)
    return (named[0] if named else None), takes_context


def _look_at_annotation(
    parameter: inspect.Parameter | None,
    function: Any,
    caller: FrameType | None,
    spec: HandlerSpec,
) -> tuple[bool, Any]:
    """Return whether a parameter takes a list, and the payload's type; None if nothing says it.

    Raises:
        UsageError: the annotation is about something else than events.
    """
    if parameter is None or parameter.annotation is parameter.empty:
        return False, None
    written = parameter.annotation
    # Of `Event["Order"]` too, which is no text but has one.
    holder = SimpleNamespace(__annotations__={"event": written})
    try:
        names = _names(function, caller)
        annotation = typing.get_type_hints(holder, {}, names, include_extras=True)["event"]
    except Exception as error:  # noqa: BLE001 - it evaluates what the user wrote
        raise spec.error(f"has an annotation that cannot be read, {written!r}: {error}") from None
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if annotation in (Any, object):
        return False, None
    takes_list = annotation in _LISTS or get_origin(annotation) in _LISTS
    if takes_list:
        annotation = next(iter(get_args(annotation)), Event)
        annotation = Event if isinstance(annotation, TypeVar) or annotation is Any else annotation
    if annotation is Event:
        return takes_list, None
    if get_origin(annotation) is Event:
        return takes_list, get_args(annotation)[0]
    _known(annotation, spec)
    shown = getattr(written, "__name__", written)
    raise spec.error(f"takes {shown!s:.100}: annotate its first parameter with {_FORMS}")


class _Unknown:
    """What an annotation names and nobody knows while the program runs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> None:
        """Be taken for a type."""

    def __getattr__(self, name: str) -> _Unknown:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Unknown(f"{self.name}.{name}")

    def __getitem__(self, _: Any) -> _Unknown:
        return self

    def __or__(self, _: Any) -> _Unknown:
        return self

    __ror__ = __or__


class _Names(dict[str, Any]):
    """The names that an annotation may have; any other one is an unknown."""

    def __missing__(self, name: str) -> _Unknown:
        return _Unknown(name)


def _names(function: Any, caller: FrameType | None) -> _Names:
    names = _Names(_OFTEN_UNIMPORTED | vars(builtins))
    own: dict[str, Any] = getattr(function, "__globals__", {})
    names.update(own)
    code = getattr(function, "__code__", None)
    for name, cell in zip(
        getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=False
    ):
        try:
            names[name] = cell.cell_contents
        except ValueError:
            # It gets its value later.
            continue
    # Of a function within functions: those are still running, or it could not be registered.
    parts = str(getattr(function, "__qualname__", "")).split(".<locals>.")
    around = {".<locals>.".join(parts[:number]) for number in range(1, len(parts))}
    frames = []
    while caller is not None:
        if caller.f_globals is own and caller.f_code.co_qualname in around:
            frames.append(caller.f_locals)
        caller = caller.f_back
    for scope in reversed(frames):
        names.update(scope)
    return names


def _known(annotation: Any, spec: HandlerSpec) -> Any:
    """Return an annotation of which everything is known.

    Raises:
        UsageError: something is not.
    """
    if isinstance(annotation, _Unknown):
        raise spec.error(
            f"is annotated with {annotation.name}, which is not known when the program runs: "
            "import it outside of `if TYPE_CHECKING`, or give @app.handler(model=...)"
        )
    for part in get_args(annotation):
        _known(part, spec)
    return annotation


def _is_plain(model: Any) -> bool:
    """Whether payloads are to be left as they are."""
    kind = get_origin(model) or model
    return model is None or isinstance(model, TypeVar) or kind in _NO_MODELS


def _unified(
    function: Callable[..., Any], *, takes_context: bool, spec: HandlerSpec
) -> Callable[[Any, Context], Any]:
    """Return a function of `(event, context)` that does what a handler does."""
    if spec.is_async:
        return function if takes_context else lambda event, _: function(event)

    def call(event: Any, context: Context) -> None:
        result = function(event, context) if takes_context else function(event)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(
                f"{spec.place}: handler {spec.name} returned an awaitable, which nobody awaits: "
                "write it with async def, or have its decorator use functools.wraps"
            )

    return call
