"""Nothing that is to be written is lost, whatever happens around it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from platform_events.errors import KafkaFaultError
from platform_events.workers import letterbox
from platform_events.workers.documents import JournalRecord
from platform_events.workers.letterbox import Letterbox


class Writer:
    """Stores what it is given, but for what it is told not to."""

    def __init__(self, *refused: bytes) -> None:
        self.refused = set(refused)
        self.stored: list[bytes] = []

    def has_room(self) -> bool:
        return True

    def write(self, partition: int, record: JournalRecord) -> Any:
        in_log = record.key not in self.refused
        self.refused.discard(record.key)
        if in_log:
            self.stored.append(record.key)
        return SimpleNamespace(settled=True, in_log=in_log)

    def settled(self) -> list[Any]:
        return []

    def explain(self, delivery: Any) -> KafkaFaultError:
        return KafkaFaultError("no leader")


def fail() -> None:
    raise KafkaFaultError("no leader")


def test_what_was_not_stored_is_written_again_though_a_callback_raises(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(letterbox, "_AGAIN_SECONDS", 0.0)
    writer: Any = Writer(b"first")
    box = Letterbox(writer)
    called: list[str] = []
    box.post(0, JournalRecord(b"first", None), lambda: called.append("first"))
    box.post(0, JournalRecord(b"second", None), fail)
    box.post(0, JournalRecord(b"third", None), lambda: called.append("third"))
    with pytest.raises(KafkaFaultError):
        box.serve()
    box.serve()
    assert sorted(writer.stored) == [b"first", b"second", b"third"]
    assert sorted(called) == ["first", "third"]
    assert box.is_empty
