from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from platform_events.bus.values import Origin
from platform_events.channels.recovery import _origin
from platform_events.names import stream_name

GOOD = b"/event/A__e 3 1 42 1700000000000 AAAAAAAAAAEAAQ"


class Stored:
    """As much of a record as is looked at."""

    def __init__(self, *headers: tuple[str, bytes | None]) -> None:
        self._headers = list(headers) or None

    def headers(self) -> Any:
        return self._headers


def origin_of(*headers: tuple[str, bytes | None]) -> Origin | None:
    return _origin(Stored(*headers))  # type: ignore[arg-type]


def test_the_last_origin_counts() -> None:
    origin = origin_of(("ce_origin", b"x"), ("ce_origin", GOOD), ("ce_deadletterreason", b"y"))
    assert origin is not None
    assert (origin.stream, origin.definition, origin.partition, origin.offset) == (
        "/event/A__e", 3, 1, 42,
    )  # fmt: skip


def test_records_without_one_are_passed_over() -> None:
    assert origin_of() is None
    assert origin_of(("ce_id", b"1")) is None
    assert origin_of(("ce_origin", None)) is None


@given(
    st.binary()
    | st.tuples(
        st.sampled_from(["/event/A__e", "A__e", "foo", "", "/event/"]),
        *[st.sampled_from(["0", "7", "-1", "x", "", "9" * 30])] * 4,
        st.sampled_from(["AAAAAAAAAAEAAQ", "", "AAAA", "%"]),
    ).map(lambda parts: " ".join(parts).encode())
)
def test_whatever_other_software_wrote_is_an_origin_or_none(text: bytes) -> None:
    origin = origin_of(("ce_origin", text))
    assert origin is None or stream_name(origin.stream)
