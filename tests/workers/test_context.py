"""What a handler is told about an attempt, and what it may say."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from platform_events import Context, UsageError
from platform_events.workers.context import event_fields
from tests.workers.events import make_context, make_event


def test_it_says_what_the_attempt_is() -> None:
    event = make_event(3)
    context = Context(2, "billing", 7, 12.5, True, (event,))
    assert (context.attempt, context.subscription, context.partition) == (2, "billing", 7)
    assert (context.deadline, context.is_redrive) == (12.5, True)


def test_the_last_checkpoint_counts() -> None:
    events = [make_event(offset) for offset in range(3)]
    context = make_context(*events)
    assert context.accepted is None
    for event in events[:2]:
        context.checkpoint(event)
        assert context.accepted is event


@pytest.mark.parametrize("wrong", [None, 3, {"order_id": "A-1"}, "event-1"])
def test_a_checkpoint_is_an_event(wrong: Any) -> None:
    context = make_context()
    with pytest.raises(UsageError, match=r"checkpoint\(\) takes one of the events"):
        context.checkpoint(wrong)
    assert context.accepted is None


def test_its_logger_has_ids_and_no_payload(caplog: pytest.LogCaptureFixture) -> None:
    event = make_event(3, {"card": "4000-1234"})
    context = make_context(event, attempt=2)
    with caplog.at_level(logging.INFO, "platform_events.worker"):
        context.logger.info("billed %s", "A-1", extra={"invoice": 7, "event_id": "mine"})
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("platform_events.worker", "billed A-1")
    expected = {
        "subscription": "billing",
        "attempt": 2,
        "event_id": "event-3",
        "replay_id": str(event.replay_id),
        "invoice": 7,
    }
    assert expected.items() <= vars(record).items()
    assert "4000-1234" not in str(vars(record))


def test_what_cannot_be_decoded_has_no_ids() -> None:
    assert event_fields("billing", 1, None) == {"subscription": "billing", "attempt": 1}
