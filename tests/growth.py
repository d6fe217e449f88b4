"""How the cost of something grows with its input, in steps that are counted instead of timed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class CountedText(str):
    """Text that counts how often it is compared, for what is searched in C."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedText.compared += 1
        return str.__eq__(self, other)  # type: ignore[arg-type]

    __hash__ = str.__hash__


def steps_of(action: Callable[[], object]) -> int:
    """Return how many bytecodes of Python an action takes, and comparisons of `CountedText`."""
    steps = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        steps += event == "opcode"
        return trace

    before, compared = sys.gettrace(), CountedText.compared
    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return steps + CountedText.compared - compared


def assert_grows_linearly(prepare: Callable[[int], Callable[[], object]], size: int = 60) -> None:
    """Check that an action on an input twice as large takes at most about twice the steps."""
    prepare(4)()  # what is done once and kept
    small, large = steps_of(prepare(size)), steps_of(prepare(2 * size))
    assert large < 2.3 * small, (small, large)
