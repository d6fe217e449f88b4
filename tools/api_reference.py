"""Make the reference of the Python API from the docstrings.

    python -m tools.api_reference

writes docs/reference/python.md. A test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import griffe

import platform_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/reference/python.md"
CLASSES = (
    "EventBus", "AsyncEventBus", "Cluster", "Subscription", "AsyncSubscription", "Event", "Origin",
    "EventMessage", "PublishResult", "PublishStatus", "Start", "ReplayId", "Worker", "Context",
    "RetryPolicy", "Retry", "Reject", "Interceptor",
)  # fmt: skip
"""What the page describes, in this order; settings and errors have pages of their own."""
_HEAD = """\
# Python API

Everything here is imported from `platform_events`. [Publishing](../publishing.md) and
[subscribing](../subscribing.md) show how it is used; `Settings` is described in
[settings](settings.md), exceptions in [errors](errors.md). This page is made from the docstrings.
"""
_INTERNAL = {
    "AsyncEventBus.over", "Context.accepted", "EventBus.admin", "EventBus.clients",
    "EventBus.publishing", "EventBus.reading_threads", "EventBus.sharing", "EventBus.stop",
    "EventBus.while_usable", "Origin.definition", "Origin.offset", "Origin.parse",
    "Origin.partition", "RetryPolicy.pause", "Subscription.abandon",
    "Subscription.call_when_ready",
}  # fmt: skip
"""What other parts of the package use."""
_MADE_FOR_USERS = {"AsyncSubscription", "Subscription"}
"""Classes that users are given instances of; what these are made of is internal."""
_POSITIONAL = (griffe.ParameterKind.positional_only, griffe.ParameterKind.positional_or_keyword)


def render() -> str:
    """Return the page."""
    lines = [line for described in public_classes() for line in _class_lines(described)]
    return "\n".join([_HEAD, *lines]).rstrip() + "\n"


def public_classes() -> Iterator[griffe.Class]:
    """Yield the classes that the page describes."""
    package = griffe.load("platform_events", search_paths=[ROOT / "src"])
    for name in CLASSES:
        home = getattr(platform_events, name).__module__.removeprefix("platform_events.")
        found = package[f"{home}.{name}"]
        assert isinstance(found, griffe.Class)
        yield found


def _class_lines(described: griffe.Class) -> Iterator[str]:
    yield f"## {described.name}\n"
    yield from _docstring_lines(described)
    rows = [
        f"| `{one.name}` | {_flat(one.docstring)} |"
        for one in public_members(described)
        if isinstance(one, griffe.Attribute) and one.docstring
    ]
    if rows:
        yield "\n".join(["| attribute | |", "|---|---|", *rows]) + "\n"
    for one in public_members(described):
        if isinstance(one, griffe.Function) and one.docstring:
            yield f"### `{_signature(described, one)}`\n"
            yield from _docstring_lines(one)


def public_members(described: griffe.Class) -> Iterator[griffe.Object | griffe.Alias]:
    """Yield the members of a class that its users see."""
    for name, one in described.members.items():
        if not name.startswith("_") and f"{described.name}.{name}" not in _INTERNAL:
            yield one


def _signature(described: griffe.Class, function: griffe.Function) -> str:
    """Return a call as a reader would write it, without annotations."""
    words: list[str] = []
    for parameter in function.parameters:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is griffe.ParameterKind.var_keyword:
            words.append(f"**{parameter.name}")
            continue
        if parameter.kind not in _POSITIONAL and "*" not in words:
            words.append("*")
        default = "" if parameter.default is None else f"={parameter.default}"
        words.append(f"{parameter.name}{default}")
    waits = "await " if "async" in function.labels and not _yields(function) else ""
    return f"{waits}{described.name}.{function.name}({', '.join(words)})"


def _yields(function: griffe.Function) -> bool:
    return "Iterator" in str(function.returns)


def _docstring_lines(described: griffe.Object) -> Iterator[str]:
    if described.docstring is None:
        return
    for section in described.docstring.parse("google", warnings=False):
        match section:
            case griffe.DocstringSectionText():
                yield f"{section.value}\n"
            case griffe.DocstringSectionParameters() if described.name in _MADE_FOR_USERS:
                pass
            case griffe.DocstringSectionParameters():
                yield _listed("Arguments", ((f"`{one.name}`", one) for one in section.value))
            case griffe.DocstringSectionRaises():
                named = ((_names(str(one.annotation)), one) for one in section.value)
                yield _listed("Raises", named)
            case griffe.DocstringSectionReturns():
                text = " ".join(one.description for one in section.value)
                yield f"Returns: {' '.join(text.split())}\n"
            case _:
                raise ValueError(f"{described.path}: a section {section.kind.value} is new here")


def _names(annotation: str) -> str:
    return ", ".join(f"`{name}`" for name in annotation.strip("()").split(", "))


def _listed(title: str, items: Iterable[tuple[str, griffe.DocstringElement]]) -> str:
    lines = [f"- {name}: {' '.join(item.description.split())}" for name, item in items]
    return "\n".join([f"{title}:\n", *lines]) + "\n"


def _flat(docstring: griffe.Docstring | None) -> str:
    return " ".join(docstring.value.split()) if docstring else ""


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
