from __future__ import annotations

import json
import os
import threading
from typing import Any

import pytest

from platform_events.cli.terminal.output import json_line
from platform_events.cli.terminal.standard_streams import UnbufferedStream


@pytest.mark.parametrize("blocking", [True, False])
def test_everything_is_written_to_whatever_kind_of_pipe(blocking: bool) -> None:
    data = bytes(range(256)) * 4096
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    received: list[bytes] = []

    def read() -> None:
        while piece := os.read(reader, 10_000):
            received.append(piece)

    thread = threading.Thread(target=read)
    thread.start()
    with os.fdopen(writer, "wb", 0) as raw:
        assert UnbufferedStream(raw).write(data) == len(data)
    thread.join()
    os.close(reader)
    assert b"".join(received) == data


def test_a_line_of_json_is_utf_8_and_one_line() -> None:
    document: dict[str, Any] = {"a": "ü\n\u2028", "b": [1.5, None]}
    line = json_line(document)
    assert json.loads(line) == document
    assert "ü" in line
    assert "\n" not in line


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    line = json_line({"a": "\ud800"})
    line.encode()
    assert json.loads(line) == {"a": "\ud800"}
