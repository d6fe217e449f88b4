from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.definitions.durations import format_duration, parse_duration
from platform_events.errors import UsageError


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("90s", 90_000),
        ("15m", 900_000),
        ("72h", 259_200_000),
        ("30d", 2_592_000_000),
        ("250ms", 250),
        ("0h", 0),
    ],
)
def test_durations_are_numbers_with_a_unit(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds
    assert format_duration(milliseconds) == text


@pytest.mark.parametrize(
    "text",
    ["", "72", "h", "72 h", "1.5h", "-1h", "1h30m", "72H", "1w", "72h\n", "٣h", "9" * 16 + "s"],
)
def test_other_text_is_refused_with_the_rule(text: str) -> None:
    with pytest.raises(UsageError, match="a whole number with a unit: s, m, h or d"):
        parse_duration(text)


@given(st.integers(0, 10**15 - 1))
def test_what_is_shown_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds
