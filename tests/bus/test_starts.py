"""Where a subscription starts, and what it says of a start that it cannot give."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import Start
from platform_events.errors import (
    UnknownStreamError,
    UsageError,
)
from platform_events.replay import (
    ReplayCorruptedError,
    ReplayExpiredError,
    ReplayFutureError,
    ReplayRecreatedError,
    ReplayWrongStreamError,
    encode_offset,
)
from platform_events.settings import Settings
from tests.bus.orders import EVENT, READING, orders, publish_orders
from tests.support import (
    KEYED,
    ORDER,
    apply_texts,
    delete_before,
    wait_until,
)


class TestStart:
    def test_default_is_earliest_to_the_end_as_it_is_at_the_call(self, bus: EventBus) -> None:
        publish_orders(bus, 5)
        subscription = bus.subscribe(EVENT, follow=False)
        publish_orders(bus, 5, first=5)
        assert orders(subscription) == [0, 1, 2, 3, 4]

    def test_latest_sees_what_is_published_after_subscribe_returned(self, bus: EventBus) -> None:
        publish_orders(bus, 3)
        with bus.subscribe(EVENT) as subscription:
            publish_orders(bus, 1, first=3)
            assert next(subscription).payload["order_id"] == "A-3"

    def test_an_empty_stream_ends_at_once(self, bus: EventBus) -> None:
        assert orders(bus.subscribe(EVENT, follow=False)) == []
        assert orders(bus.subscribe(READING, follow=False)) == []

    @pytest.mark.parametrize("form", ["object", "text", "bytes", "cut to 8 bytes"])
    def test_a_replay_id_goes_on_after_its_event(self, bus: EventBus, form: str) -> None:
        replay_id = publish_orders(bus, 10)[6]
        start = {
            "object": replay_id,
            "text": str(replay_id),
            "bytes": bytes(replay_id),
            "cut to 8 bytes": bytes(replay_id[:8]),
        }[form]
        assert orders(bus.subscribe(EVENT, start=start, follow=False)) == [7, 8, 9]

    def test_the_last_event_s_id_is_the_end(self, bus: EventBus) -> None:
        replay_id = publish_orders(bus, 3)[-1]
        assert orders(bus.subscribe(EVENT, start=replay_id, follow=False)) == []

    def test_a_time_starts_with_the_first_event_stored_at_or_after_it(self, bus: EventBus) -> None:
        publish_orders(bus, 3)
        *_, last = bus.subscribe(EVENT, follow=False)
        wait_until(lambda: datetime.now(UTC) > last.published_at + timedelta(milliseconds=5))
        publish_orders(bus, 2, first=3)
        since = last.published_at + timedelta(milliseconds=1)
        assert orders(bus.subscribe(EVENT, start=since, follow=False)) == [3, 4]
        long_ago = datetime(2001, 1, 1, tzinfo=UTC)
        assert orders(bus.subscribe(EVENT, start=long_ago, follow=False)) == [0, 1, 2, 3, 4]
        later = datetime.now(UTC) + timedelta(hours=1)
        assert orders(bus.subscribe(EVENT, start=later, follow=False)) == []

    @pytest.mark.parametrize("word", ["earliest", "EARLIEST", "-2", "latest", "Latest", "-1"])
    def test_words_are_starts_too(self, bus: EventBus, word: str) -> None:
        publish_orders(bus, 2)
        expected = [0, 1] if word.lower() in ("earliest", "-2") else []
        assert orders(bus.subscribe(EVENT, start=word, follow=False)) == expected

    def test_what_is_no_start_is_refused(self, bus: EventBus) -> None:
        with pytest.raises(UsageError, match="time zone"):
            bus.subscribe(EVENT, start=datetime(2024, 1, 1))  # noqa: DTZ001
        with pytest.raises(UsageError, match="neither"):
            bus.subscribe(EVENT, start=5)  # type: ignore[call-overload]
        with pytest.raises(UsageError, match="on_expired"):
            bus.subscribe(EVENT, on_expired="never")  # type: ignore[call-overload]
        with pytest.raises(UnknownStreamError):
            bus.subscribe("/event/Nothing__e")


class TestVerdicts:
    def test_expired_by_deletion(self, bus: EventBus, settings: Settings) -> None:
        ids = publish_orders(bus, 10)
        delete_before(settings, EVENT, [6])
        with pytest.raises(ReplayExpiredError) as caught:
            bus.subscribe(EVENT, start=ids[2], follow=False)
        assert caught.value.lost == 3
        assert caught.value.replay_id == ids[2]
        resumed = bus.subscribe(EVENT, start=caught.value.earliest, follow=False)
        assert orders(resumed) == [6, 7, 8, 9]
        assert orders(bus.subscribe(EVENT, start=ids[5], follow=False)) == [6, 7, 8, 9]

    def test_expired_goes_where_the_subscriber_chose(
        self, bus: EventBus, settings: Settings
    ) -> None:
        ids = publish_orders(bus, 10)
        delete_before(settings, EVENT, [6])
        for choice, expected in (("earliest", [6, 7, 8, 9]), ("latest", [])):
            subscription = bus.subscribe(EVENT, ids[2], False, choice)  # type: ignore[call-overload]
            assert orders(subscription) == expected

    def test_expired_by_retention(self, settings: Settings, bus: EventBus, tmp_path: Any) -> None:
        apply_texts(settings, tmp_path / "short", ORDER.replace(
            "fields:", "retention: 1s\nfields:"), KEYED)  # fmt: skip
        first = publish_orders(bus, 1)[0]
        publish_orders(bus, 20, first=1)

        def expired() -> bool:
            publish_orders(bus, 1)
            try:
                bus.subscribe(EVENT, start=first, follow=False).close()
            except ReplayExpiredError as error:
                return error.lost >= 20
            return False

        wait_until(expired)

    def test_retention_overtakes_a_slow_subscriber(self, bus: EventBus, settings: Settings) -> None:
        # Random, so that compression does not let all of it be fetched beforehand.
        bus.publish_many(
            EVENT, ({"order_id": "A-0", "note": secrets.token_hex(25_000)} for _ in range(1500))
        )
        slow = bus.subscribe(EVENT, start=Start.EARLIEST)
        willing = bus.subscribe(EVENT, start=Start.EARLIEST, on_expired="earliest")
        next(slow), next(willing)
        delete_before(settings, EVENT, [1499])
        with pytest.raises(ReplayExpiredError) as caught:
            for _ in slow:
                pass
        assert 0 < caught.value.lost < 1499
        seen = 1
        last = next(willing)
        while last.replay_id.value != 1500:
            last = next(willing)
            seen += 1
        assert seen < 1500
        slow.close(), willing.close()

    def test_recreated(self, bus: EventBus, settings: Settings, tmp_path: Any) -> None:
        old = publish_orders(bus, 3)[0]
        apply_texts(settings, tmp_path / "none", KEYED, prune=True)
        apply_texts(settings, tmp_path / "again", ORDER, KEYED)
        wait_until(lambda: publishable(bus))
        with pytest.raises(ReplayRecreatedError, match="created again"):
            bus.subscribe(EVENT, start=old)

    def test_future(self, bus: EventBus) -> None:
        (last,) = publish_orders(bus, 1)
        beyond = encode_offset(last.value + 5, last.tag)
        with pytest.raises(ReplayFutureError, match="5 events past the end"):
            bus.subscribe(EVENT, start=beyond)

    def test_wrong_stream(self, bus: EventBus, settings: Settings, tmp_path: Any) -> None:
        (foreign,) = publish_orders(bus, 1)
        with pytest.raises(ReplayWrongStreamError):
            bus.subscribe(READING, start=foreign)
        elsewhere = encode_offset(0, foreign.tag ^ 1)
        with pytest.raises(ReplayWrongStreamError):
            bus.subscribe(EVENT, start=elsewhere)

    @pytest.mark.parametrize("start", [b"random bytes!", "", "%%%", b"\xff" * 10, "A" * 10**7])
    def test_corrupted(self, bus: EventBus, start: bytes | str) -> None:
        with pytest.raises(ReplayCorruptedError):
            bus.subscribe(EVENT, start=start)


def publishable(bus: EventBus) -> bool:
    return bus.publish_many(EVENT, [{"order_id": "A-1"}])[0].replay_id is not None
