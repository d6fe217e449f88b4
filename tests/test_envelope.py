from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from platform_events.envelope import Origin, find_origin
from platform_events.names import stream_name

GOOD = b"/event/A__e 3 1 42 1700000000000 AAAAAAAAAAEAAQ"


def origin_of(*headers: tuple[str, bytes | None]) -> Origin | None:
    return find_origin(headers)


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
