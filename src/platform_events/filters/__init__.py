"""The filter language of channels: expressions that decide which events pass.

`parse_filter` reads an expression, `check_filter` also checks it against an event's schema,
`compile_filter` makes the function that judges undecoded bodies, `evaluate` and `explain` judge a
decoded payload and say why. docs/filters.md is the language's reference.
"""

from platform_events.filters.binding import check_filter
from platform_events.filters.compilation import compile_filter
from platform_events.filters.error import FilterError, UnknownFieldError
from platform_events.filters.evaluation import evaluate, explain
from platform_events.filters.expression import Expression, filter_fields
from platform_events.filters.parser import parse_filter

__all__ = [
    "Expression",
    "FilterError",
    "UnknownFieldError",
    "check_filter",
    "compile_filter",
    "evaluate",
    "explain",
    "filter_fields",
    "parse_filter",
]
