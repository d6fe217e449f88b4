"""Read the parts of Avro types that hold no further types: symbols, sizes, annotations, texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from platform_events.files.notation import (
    COMPLEX_EXAMPLES,
    DECIMAL_KEYS,
    MAX_FIXED,
    OTHER_WORDS,
    logical_example,
    names_of,
)
from platform_events.payloads.kinds import LOGICAL_TYPES, PRIMITIVES, has_room
from platform_events.payloads.type_names import NAME
from platform_events.payloads.types import MAX_PRECISION
from platform_events.wording import listed, one_of, shown, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.files.document import Node, Report

Avro = str | list[Any] | dict[str, Any]
"""A schema in Avro's JSON form."""

NAME_RULE = "letters, digits and _, not beginning with a digit"
_SYMBOL = re.compile(NAME)
_MARKED = re.compile(r"(?P<inner>\S+)(?P<mark>\?|\[\])")
_GENERIC = re.compile(r"(?P<outer>\w+)[<\[(](\w+,\s*)?(?P<inner>[^\s,]+)[>\])]")
"""How other languages write types of types; what they say of a map's keys is passed over."""
_LONGEST_SPELT = 80
_ORDERS = ("ascending", "descending", "ignore")


def read_symbols(node: Node, report: Report) -> dict[str, Any] | None:
    """Return an enum's symbols and default; None if the symbols have a problem."""
    symbols = node.get("symbols")
    if symbols is None or not isinstance(symbols.value, tuple) or not symbols.value:
        report.add(symbols or node, "an enum needs symbols: a list such as [OPEN, CLOSED]")
        return None
    words: dict[str, None] = {}
    for item in symbols.value:
        if not isinstance(item.value, str) or not _SYMBOL.fullmatch(item.value):
            quote = "" if isinstance(item.value, str) else "; put it in quotes"
            report.add(item, f"{item.describe()} cannot be a symbol: {NAME_RULE}{quote}")
        elif item.value in words:
            report.add(item, f"the symbol {item.value} is repeated")
        else:
            words[item.value] = None
    body: dict[str, Any] = {"symbols": list(words)}
    default = node.get("default")
    if default is not None:
        check_symbol(default, words, report)
        body["default"] = default.value
    return body if len(words) == len(symbols.value) else None


def check_symbol(node: Node, symbols: Mapping[str, object], report: Report) -> None:
    """Report a value that is not one of an enum's symbols, which are the keys."""
    if not isinstance(node.value, str) or node.value not in symbols:
        guess = suggest(node.value, symbols) if isinstance(node.value, str) else ""
        guess = guess or f"; they are {shown(listed(list(symbols)))}"
        report.add(node, f"{node.describe()} is not one of the symbols{guess}")


def read_size(node: Node, report: Report) -> dict[str, Any] | None:
    """Return a fixed's size and logical type; None if one has a problem."""
    size = node.get("size")
    if size is None or type(size.value) is not int or not 1 <= size.value <= MAX_FIXED:
        report.add(size or node, f"a fixed needs size: its bytes, 1 to {MAX_FIXED:,}")
        return None
    logical = read_logical_type(node, "fixed", report, size.value)
    return None if logical is None else {"size": size.value} | logical


def read_logical_type(
    node: Node, base: str, report: Report, size: int = 0
) -> dict[str, Any] | None:
    """Return the logical type that annotates `base`, empty if none; None if it has a problem.

    `size` is the bytes of a fixed, 0 for other types.
    """
    logical = node.get("logicalType")
    if logical is None:
        for key in names_of(DECIMAL_KEYS):
            entry = node.get(key)
            if entry is not None:
                report.add_key(entry, f"{key} belongs to logicalType: decimal")
        return {}
    name = logical.value
    if not isinstance(name, str) or name not in LOGICAL_TYPES:
        guess = suggest(name, LOGICAL_TYPES) if isinstance(name, str) else ""
        guess = guess or f"; write {one_of(tuple(LOGICAL_TYPES))}"
        report.add(logical, f"{logical.describe()} is not a logical type that is supported{guess}")
        return None
    if base not in LOGICAL_TYPES[name].bases:
        right = one_of(LOGICAL_TYPES[name].bases)
        report.add(logical, f"{name} annotates {right}, not {base}")
        return None
    return _read_decimal(node, report, size) if name == "decimal" else {"logicalType": name}


def _read_decimal(node: Node, report: Report, size: int) -> dict[str, Any] | None:
    precision, scale = node.get("precision"), node.get("scale")
    digits = precision.value if precision is not None else None
    if type(digits) is not int or not 1 <= digits <= MAX_PRECISION:
        report.add(
            precision or node, f"a decimal needs precision: its digits, 1 to {MAX_PRECISION:,}"
        )
        return None
    decimals = scale.value if scale is not None else 0
    if type(decimals) is not int or not 0 <= decimals <= digits:
        report.add(scale or node, f"must be the digits after the point, 0 to {digits} here")
        return None
    if size and not has_room(size, digits):
        report.add(precision or node, f"{size} bytes cannot hold {digits} digits; raise size")
        return None
    return {"logicalType": "decimal", "precision": digits, "scale": decimals}


def read_texts(node: Node, names: re.Pattern[str], report: Report) -> dict[str, Any]:
    """Return `doc` and `aliases`, as far as they are given; an alias must match `names`."""
    texts: dict[str, Any] = {}
    doc, aliases = node.get("doc"), node.get("aliases")
    if doc is not None and isinstance(doc.value, str):
        texts["doc"] = doc.value
    elif doc is not None:
        report.add_misfit(doc, "text", "; put it in quotes")
    if aliases is not None:
        words = aliases.plain()
        if isinstance(words, list) and all(
            isinstance(word, str) and names.fullmatch(word) for word in words
        ):
            texts["aliases"] = words
        else:
            report.add(aliases, f"must be a list of names: {NAME_RULE}")
    return texts


def check_order(node: Node, report: Report) -> None:
    """Report a field's sort order that Avro does not know."""
    order = node.get("order")
    if order is not None and order.value not in _ORDERS:
        report.add_misfit(order, one_of(_ORDERS))


def explain_unknown_type(word: str, known: list[str], root: Node) -> str:
    """Say what is wrong with the name of a type and what could be meant.

    `known` are the types defined before it, `root` is the whole document.
    """
    lower = word.lower()
    if word in COMPLEX_EXAMPLES:
        return f"{word} needs more than a name: type: {COMPLEX_EXAMPLES[word]}"
    if lower in LOGICAL_TYPES:
        return f"{shown(word)} is a logical type: write {logical_example(lower)}"
    later = _find_definition(root, word)
    if later is not None:
        return (
            f"{shown(word)} is not known here: it is defined on line {later.mark.line}; "
            "write it out at its first use, then refer to it by name"
        )
    spelling = OTHER_WORDS.get(lower) or (_spell(word) if len(word) <= _LONGEST_SPELT else "")
    if spelling:
        hint = ", or the type alone and optional: true" if spelling.startswith("[") else ""
        return f"{shown(word)} is not an Avro type: write {spelling}{hint}"
    guess = suggest(word, [*PRIMITIVES, *known, *COMPLEX_EXAMPLES, *LOGICAL_TYPES])
    rest = guess or f"; types are {', '.join(PRIMITIVES)}, {', '.join(COMPLEX_EXAMPLES)}"
    return f"{shown(word)} is not a type{rest}"


def _spell(word: str) -> str:
    """Return how Avro writes `string?`, `array<string>` and the like; empty if it is none."""
    marked = _MARKED.fullmatch(word)
    if marked:
        outer, inner = ("optional" if marked["mark"] == "?" else "array"), marked["inner"]
    else:
        generic = _GENERIC.fullmatch(word)
        if generic is None:
            return ""
        outer, inner = generic["outer"].lower(), generic["inner"]
    of = _spell(inner) or _spell_word(inner)
    if not of:
        return ""
    if outer in ("optional", "nullable"):
        return f'["null", {of}]'
    example = COMPLEX_EXAMPLES.get(outer) or OTHER_WORDS.get(outer, "")
    if example in (COMPLEX_EXAMPLES["array"], COMPLEX_EXAMPLES["map"]):
        return example.replace(": string}", f": {of}}}")
    return ""


def _spell_word(word: str) -> str:
    """Return how Avro writes the name of a type; empty if it can be no type's name."""
    lower = word.lower()
    if lower in LOGICAL_TYPES:
        return logical_example(lower)
    spelling = COMPLEX_EXAMPLES.get(word) or OTHER_WORDS.get(lower, word)
    is_one_type = spelling.startswith("{") and " or " not in spelling
    return spelling if is_one_type or re.fullmatch(NAME, spelling) else ""


def _find_definition(node: Node, name: str) -> Node | None:
    """Return the first definition of a type of that name, wherever it is."""
    if isinstance(node.value, tuple):
        parts = node.value
    elif isinstance(node.value, dict):
        kind, own = node.get("type"), node.get("name")
        defines = kind is not None and kind.value in ("record", "enum", "fixed")
        if defines and own is not None and own.value == name:
            return node
        parts = tuple(node.value.values())
    else:
        return None
    return next(filter(None, (_find_definition(part, name) for part in parts)), None)


def explain_clash(avro: Avro, kind: str, others: dict[str, Avro]) -> str:
    """Say why a branch cannot join others, which are keyed by their JSON kind; empty if it can."""
    if kind in others:
        return (
            f"{_label(others[kind])} and {_label(avro)} are both {kind} in JSON, so a value would "
            "not say which of them it is; keep one"
        )
    for other in others.values():
        # Avro 1.12, Unions: only named types may be there twice.
        if _base(other) == _base(avro):
            return (
                f"{_label(other)} and {_label(avro)} are both stored as {_base(avro)}, which Avro "
                "allows once in a union; keep one"
            )
    return ""


def _base(avro: Avro) -> str:
    return str(avro["type"] if isinstance(avro, dict) else avro)


def _label(avro: Avro) -> str:
    """Return what people call a type."""
    if isinstance(avro, dict):
        return str(avro.get("name") or avro.get("logicalType") or avro["type"])
    return str(avro)
