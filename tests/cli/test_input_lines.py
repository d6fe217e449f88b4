from __future__ import annotations

import os
import threading

from hypothesis import given
from hypothesis import strategies as st

from platform_events.cli.terminal import input as input_module
from platform_events.cli.terminal.input import MAX_LINE, read_lines


def feed(*pieces: bytes) -> list[bytes | None]:
    """Return the lines read from a pipe into which the pieces are written one after the other."""
    reader, writer = os.pipe()

    def write() -> None:
        for piece in pieces:
            os.write(writer, piece) if piece else None
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    lines = [line for batch, _ in read_lines(reader) for line in batch]
    thread.join()
    os.close(reader)
    return lines


@given(st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"")), max_size=8))
def test_lines_are_what_is_between_line_feeds(lines: list[bytes]) -> None:
    text = b"\n".join([b"first", *lines, b"last"])
    expected = text.split(b"\n")
    assert feed(text) == expected
    assert feed(text + b"\n") == expected
    # However it is cut on its way.
    assert feed(*(text[index : index + 1] for index in range(len(text)))) == expected


def test_nothing_has_no_lines() -> None:
    assert feed() == []
    assert feed(b"\n") == [b""]


def test_a_byte_order_mark_is_dropped_at_the_beginning_only() -> None:
    assert feed(b"\xef\xbb\xbfa\n\xef\xbb\xbfb") == [b"a", b"\xef\xbb\xbfb"]


def test_a_line_that_is_too_long_is_passed_over(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(input_module, "CHUNK", 16 * 1024)
    fits, exceeds = b"x" * MAX_LINE, b"y" * (MAX_LINE + 1)
    assert feed(fits + b"\n" + exceeds + b"\nnext\n" + exceeds) == [fits, None, b"next", None]


def test_complete_lines_come_before_the_rest_of_the_input() -> None:
    reader, writer = os.pipe()
    batches = read_lines(reader)
    os.write(writer, b"one\ntwo\nthr")
    assert next(batches) == ([b"one", b"two"], 11)
    os.write(writer, b"ee\n")
    assert next(batches) == ([b"three"], 3)
    os.close(writer)
    assert list(batches) == []
    os.close(reader)


def test_a_non_blocking_input_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    timer = threading.Timer(0.1, lambda: (os.write(writer, b"late\n"), os.close(writer)))
    timer.start()
    assert [line for batch, _ in read_lines(reader) for line in batch] == [b"late"]
    timer.join()
    os.close(reader)
