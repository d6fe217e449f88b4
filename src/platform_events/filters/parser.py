"""From the text of a filter to its tree, and what is wrong with a text that is none."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from platform_events.filters.error import FilterError
from platform_events.filters.expression import And, Comparison, Expression, Literal, Not, Or
from platform_events.filters.literals import read_text, read_value, read_word
from platform_events.wording import one_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lark import Lark, Token, UnexpectedToken

MAX_LENGTH = 131_072
"""Characters of a filter at most."""
MAX_NESTING = 100
"""Parentheses within parentheses at most."""

_GRAMMAR = r"""
?start: disjunction
?disjunction: conjunction (_OR conjunction)*
?conjunction: negation (_AND negation)*
negation: NOT* operand
?operand: comparison | _LEFT disjunction _RIGHT
comparison: FIELD (OPERATOR | LIKE) literal | FIELD NOT? IN _LEFT literal (_COMMA literal)* _RIGHT
?literal: TEXT | VALUE | WORD

_OR.3: /or(?![a-z0-9_.])/i
_AND.3: /and(?![a-z0-9_.])/i
NOT.3: /not(?![a-z0-9_.])/i
LIKE.3: /like(?![a-z0-9_.])/i
IN.3: /in(?![a-z0-9_.])/i
WORD.3: /(null|true|false)(?![a-z0-9_.])/i
FIELD.2: /[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/
OPERATOR.2: /(!=|<=|>=|=|<|>)(?![=!<>])/
VALUE.2: /[+-]?\.?[0-9][A-Za-z0-9_.:+-]*/
TEXT.2: /'[^'\\]*(\\.[^'\\]*)*'/s
_COMMA.2: ","
_LEFT.2: "("
_RIGHT.2: ")"
OTHER.1: /[=!<>]+|./s
SPACE.2: /[ \t\r\n]+/
%ignore SPACE
"""
_PLACES = {
    "FIELD": "a field",
    "TEXT": "a value",
    "OPERATOR": "an operator (=, !=, <, <=, >, >=, LIKE, IN or NOT IN)",
    "IN": "IN",
    "_LEFT": "( and a list of values",
}
"""What a place takes, by a terminal that only such places take; the first that is there counts."""
_CONTINUATIONS = {
    "_COMMA": "a comma",
    "_RIGHT": ")",
    "_AND": "AND",
    "_OR": "OR",
    "$END": "the end",
}
"""What may follow where something is complete, by terminal."""
_DATE_WORD = re.compile(
    r"(today|tomorrow|yesterday|(last|this|next)_\w+|n_\w+_ago)", re.ASCII | re.IGNORECASE
)
_EXAMPLE = "field = 'text' AND other > 10"


def parse_filter(text: str) -> Expression:
    """Read a filter expression. Whether its fields exist is for `check_filter` to say.

    Raises:
        FilterError: the text is not a filter.
    """
    from lark import UnexpectedToken

    if len(text) > MAX_LENGTH:
        raise FilterError(
            f"a filter has at most {MAX_LENGTH:,} characters, not {len(text):,}",
            MAX_LENGTH,
            len(text),
        )
    if not text.strip():
        raise FilterError(f"the filter is empty; write one such as {_EXAMPLE}", 0, len(text))
    try:
        return cast("Expression", _parser().parse(text))
    except UnexpectedToken as error:
        raise _explain(error, len(text)) from None


@lru_cache(maxsize=1)
def _parser() -> Lark:
    from lark import Lark

    nodes: Any = _Nodes()
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", transformer=nodes, postlex=_Nesting())


class _Nesting:
    """Watches parentheses, so that no later step has to descend for long."""

    always_accept = ("OTHER",)
    """Kept although no rule takes it: it makes every character a token, for our own message."""

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        depth = 0
        for token in stream:
            if token.type == "_LEFT":
                depth += 1
                if depth > MAX_NESTING:
                    start = token.start_pos or 0
                    raise FilterError(
                        f"parentheses are nested more than {MAX_NESTING} levels deep",
                        start,
                        start + 1,
                    )
            elif token.type == "_RIGHT":
                depth -= 1
            yield token


class _Nodes:
    """Makes the tree while parsing: a method for each rule, and for each kind of literal."""

    def disjunction(self, parts: list[Any]) -> Expression:
        return _join(Or, parts)

    def conjunction(self, parts: list[Any]) -> Expression:
        return _join(And, parts)

    def negation(self, parts: list[Any]) -> Expression:
        *nots, operand = parts
        # Two negations are none, whatever the operand is: true, false or unknown.
        return Not(operand) if len(nots) % 2 else operand

    def comparison(self, parts: list[Any]) -> Comparison:
        literals = [part for part in parts if isinstance(part, Literal)]
        field, *operators = parts[: parts.index(literals[0])]
        return Comparison(
            str(field),
            " ".join(operators).upper(),
            tuple(literals),
            field.start_pos,
            operators[0].start_pos,
            operators[-1].end_pos,
        )

    # A token is read before the next one is asked for: the first mistake is the one that is told.

    TEXT = staticmethod(read_text)
    VALUE = staticmethod(read_value)
    WORD = staticmethod(read_word)


def _join(kind: type[And | Or], parts: list[Any]) -> Expression:
    operands: list[Expression] = []
    for part in parts:
        operands += part.operands if isinstance(part, kind) else (part,)
    return kind(tuple(operands))


def _explain(error: UnexpectedToken, length: int) -> FilterError:
    """Say in words what the parser did not expect."""
    token: Token = error.token
    accepted = error.accepts or set()
    continuations = [word for terminal, word in _CONTINUATIONS.items() if terminal in accepted]
    place = next((word for terminal, word in _PLACES.items() if terminal in accepted), "")
    expected = place or one_of(continuations)
    if token.type == "$END":
        return FilterError(f"the filter ends where {expected} is expected", length, length)
    start = token.start_pos or 0
    message = _hint(token, accepted) or f"expected {expected} here, not {shown(str(token))}"
    return FilterError(message, start, start + len(token))


def _hint(token: Token, accepted: set[str]) -> str:
    """Return what is wrong and what to do, for mistakes that are common; else nothing."""
    match token.type, str(token):
        case "OTHER", "'":
            return "this text has no closing '"
        case "OTHER", '"':
            return "text needs single quotes: 'text', not \"text\""
        case "OTHER", "<>" if "OPERATOR" in accepted:
            return "<> is no operator; write !="
        case "OTHER", "==" if "OPERATOR" in accepted:
            return "== is no operator; write ="
        case "FIELD", word if "TEXT" in accepted and _DATE_WORD.fullmatch(word):
            return f"date words such as {word.upper()} are not supported; write the date itself"
        case "FIELD", word if "TEXT" in accepted:
            return (
                f"{shown(word)} is no value: a field is compared with a constant, and text "
                "needs single quotes"
            )
        case "TEXT" | "VALUE" | "WORD", _ if "FIELD" in accepted:
            return f"a comparison begins with a field, such as {_EXAMPLE}"
        case "LIKE", _ if accepted == {"IN"}:
            return "NOT LIKE is no operator; write NOT field LIKE 'text'"
        case "_RIGHT", _ if "$END" in accepted:
            return "this ) has no ( before it"
    return ""
