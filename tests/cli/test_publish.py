from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.cli.events import publisher as publisher_module
from platform_events.cli.events.publisher import LinePublisher
from platform_events.cli.terminal.interruption import Signals, Terminated
from platform_events.cli.terminal.progress import ByteProgress
from platform_events.kafka.local import LocalKafka
from tests.support import ORDER, apply_texts, wait_until


def results(output: str | bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def stored(settings: Any, event: str = "Order_Placed__e") -> list[Any]:
    with EventBus(settings) as bus:
        return list(bus.subscribe(event, follow=False))


def test_results_come_in_order_with_what_is_stored(bus_cli: Any, settings: Any) -> None:
    Path("in").write_text('{"order_id":"ü"}\r\n\n  \n{"order_id":"B","amount":2,"note":"n"}')
    result = bus_cli("publish", "Order_Placed__e", "in", "--header", "a=1", "--header", "b=x=y")
    assert result.exit_code == 0
    assert result.stderr == ""
    events = stored(settings)
    assert results(result.stdout) == [
        {
            "index": index,
            "status": "PERSISTED",
            "event_id": event.event_id,
            "replay_id": str(event.replay_id),
        }
        for index, event in enumerate(events)
    ]
    assert [event.payload["order_id"] for event in events] == ["ü", "B"]
    assert events[1].payload["amount"] == 2.0
    assert events[0].headers == {"a": b"1", "b": b"x=y"}


BAD_LINES = {
    b"no": ("INVALID_JSON", "not JSON: Expecting value at column 1"),
    b'{"order_id":"A"': ("INVALID_JSON", "not JSON: "),
    b'{"order_id":"A"} {}': ("INVALID_JSON", "not JSON: Extra data"),
    b'{"order_id":"\xff"}': ("INVALID_JSON", "not UTF-8 at byte 14"),
    '{"order_id":"A"}'.encode("utf-16-le"): ("INVALID_JSON", "not JSON"),
    b'{"order_id":"A","amount":NaN}': ("INVALID_JSON", 'write it as text: "NaN"'),
    b'{"order_id":"A","amount":-Infinity}': ("INVALID_JSON", '"-Infinity"'),
    b'{"order_id":"A","amount":1e999}': ("INVALID_JSON", "does not fit"),
    b'{"order_id":"A","amount":' + b"1" * 5000 + b"}": ("INVALID_JSON", "too many digits"),
    b'{"order_id":"A","amount":1,"order_id":"B"}': ("INVALID_JSON", "'order_id' is repeated"),
    b'{"order_id":"A","\\u006frder_id":"A"}': ("INVALID_JSON", "'order_id' is repeated"),
    b"[" * 100_000: ("INVALID_JSON", "nested too deeply"),
    b'["order_id"]': ("INVALID_PAYLOAD", "not an array"),
    b"null": ("INVALID_PAYLOAD", "not a single value"),
    b"{}": ("INVALID_PAYLOAD", "order_id"),
    b'{"order_id":1}': ("INVALID_PAYLOAD", "order_id: expected"),
    b'{"order_id":"A","amount":"much"}': ("INVALID_PAYLOAD", "amount: expected"),
    b'{"order_id":"A","colour":"red"}': ("INVALID_PAYLOAD", "colour: "),
    b'{"order_id":"\\ud800"}': ("INVALID_PAYLOAD", "order_id: "),
    b'{"order_id":"' + b"x" * 2_000_000 + b'"}': ("EVENT_TOO_LARGE", "1,048,576"),
    b'{"order_id":"' + b"x" * 5_000_000 + b'"}': ("EVENT_TOO_LARGE", "the line has more than"),
}


def test_one_bad_line_does_not_harm_its_neighbours(bus_cli: Any, settings: Any) -> None:
    good = b'{"order_id":"good","amount":"NaN"}'
    Path("in").write_bytes(b"".join(bad + b"\n" + good + b"\n" for bad in BAD_LINES))
    result = bus_cli("publish", "Order_Placed__e", "in")
    assert result.exit_code == 1
    count = len(BAD_LINES)
    assert result.stderr == f"{count} persisted, {count} not persisted, 0 unknown\n"
    found = results(result.stdout)
    assert [entry["index"] for entry in found] == list(range(2 * count))
    assert {entry["status"] for entry in found[1::2]} == {"PERSISTED"}
    for (code, says), refused in zip(BAD_LINES.values(), found[::2], strict=True):
        assert refused["status"] == "NOT_PERSISTED"
        assert refused["replay_id"] is None
        assert (refused["error"]["code"], says in refused["error"]["message"]) == (code, True)
    assert len(stored(settings)) == count


def test_a_subscription_can_be_published_elsewhere(bus_cli: Any, settings: Any) -> None:
    with EventBus(settings) as bus:
        payload = {"order_id": "A", "CreatedDate": 5, "CreatedById": "someone"}
        bus.publish(
            "Order_Placed__e", payload, headers={"text": "ü", "raw": b"\xff\x00", "none": None}
        )
    line = bus_cli("subscribe", "Order_Placed__e", "--no-follow").stdout
    document = json.loads(line)
    wrong = [
        document | {"type": "Other__e"},
        document | {"event_id": 7},
        document | {"payload": []},
        document | {"headers": {"a": 1}},
        document | {"headers": {"a": {"base64": "?"}}},
        document | {"headers": {"ce_id": "x"}},
        document | {"event_id": "x" * 37},
        document | {"event_id": "\ud800"},
        {"order_id": "A"},
    ]
    Path("in").write_text(line + "".join(json.dumps(entry) + "\n" for entry in wrong))
    result = bus_cli("publish", "Order_Placed__e", "in", "--envelope", "--header", "also=this")
    assert result.exit_code == 1
    first, *refused = results(result.stdout)
    assert first["status"] == "PERSISTED"
    assert {entry["status"] for entry in refused} == {"NOT_PERSISTED"}
    assert [entry["event_id"] for entry in refused[:3]] == [document["event_id"], None, document["event_id"]]  # fmt: skip # noqa: E501
    original, copy = stored(settings)
    assert copy.event_id == original.event_id
    assert copy.payload == original.payload
    assert copy.headers == original.headers | {"also": b"this"}
    assert (copy.headers["raw"], copy.headers["none"]) == (b"\xff\x00", None)


def test_what_cannot_be_published_to_is_said_before_input_is_read(bus_cli: Any) -> None:
    Path("in").write_text("{}\n")
    result = bus_cli("publish", "Order_Placd__e", "in")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: UNKNOWN_STREAM: ")
    assert "did you mean Order_Placed__e?" in result.stderr
    result = bus_cli("publish", "All__chn", "in")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: USAGE: All__chn is a channel; publish to ")
    result = bus_cli("publish", "Order_Placed__e", "in", "--header", "ce_id=x")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: USAGE: header 'ce_id'")


def test_a_pipe_is_answered_line_by_line(bus_cli: Any, spawn: Any) -> None:
    process = spawn("publish", "Order_Placed__e")
    for index in range(3):
        process.stdin.write(b'{"order_id":"A"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["index"] == index
    out, err = process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")


def test_ctrl_c_says_what_was_published(bus_cli: Any, spawn: Any) -> None:
    process = spawn("publish", "Order_Placed__e", "-")
    process.stdin.write(b'{"order_id":"A"}\n{"order_')
    process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    error = process.stderr.read().decode()
    assert error.startswith("error: INTERRUPTED: 1 persisted, 0 not persisted, 0 unknown; ")
    assert "nothing from index 1 on was published" in error
    assert len(error.splitlines()) == 1


def test_stdin_that_is_closed_or_a_terminal_is_wrong_usage(spawn: Any) -> None:
    process = spawn("publish", "Order_Placed__e", preexec_fn=lambda: os.close(0), stdin=None)
    assert process.wait() == 2
    assert process.stderr.read().startswith(b"error: USAGE: stdin is closed")
    ours, theirs = os.openpty()
    process = spawn("publish", "Order_Placed__e", stdin=theirs)
    assert process.wait() == 2
    assert process.stderr.read().startswith(b"error: USAGE: name a FILE")
    os.close(ours)
    os.close(theirs)


def test_a_terminal_sees_progress(bus_cli: Any, spawn: Any) -> None:
    Path("in").write_text('{"order_id":"A"}\n' * 2000)
    ours, theirs = os.openpty()
    process = spawn("publish", "Order_Placed__e", "in", stderr=theirs)
    os.close(theirs)
    out = process.stdout.read()
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # how the end of a pseudo-terminal shows
    os.close(ours)
    assert process.wait() == 0
    assert len(results(out)) == 2000
    assert b"2,000 events" in shown
    assert b"2,000 persisted" in shown


def test_a_signal_while_the_broker_is_silent_gives_every_event_its_result(
    settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    signals = Signals()
    monkeypatch.setattr(publisher_module, "signals", signals)
    (tmp_path / "in").write_text('{"order_id":"A"}\nno\n')
    with LocalKafka() as kafka:
        own = settings.model_copy(
            update={"bootstrap_servers": kafka.bootstrap_servers, "close_timeout": 0.5}
        )
        apply_texts(own, tmp_path / "applied", ORDER)
        with EventBus(own) as bus, (tmp_path / "in").open("rb") as source:
            publishing = LinePublisher(bus, "Order_Placed__e", {}, envelope=False)
            bus.publish("Order_Placed__e", {"order_id": "before"})
            kafka.pause()

            def interrupt() -> None:
                wait_until(lambda: publishing.unanswered == 2)
                signals._receive(signal.SIGTERM, None)

            thread = threading.Thread(target=interrupt)
            thread.start()
            publishing.run(source.fileno(), ByteProgress(None))
            thread.join()
            kafka.resume()
    first, second = results(capsys.readouterr().out)
    assert (first["status"], first["replay_id"]) == ("UNKNOWN", None)
    assert len(first["event_id"]) == 36
    assert second["status"] == "NOT_PERSISTED"
    assert isinstance(publishing.interrupt, Terminated)
    assert (publishing.begun, publishing.unanswered) == (2, 0)
    assert publishing.counts == {"UNKNOWN": 1, "NOT_PERSISTED": 1}
