"""PERSISTED means that a subscriber can read it, also when topics come and go under a publisher.

The broker makes topics that are asked for, as Kafka does by default.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_events.bus.bus import EventBus
from platform_events.bus.values import PublishResult, PublishStatus, Start
from platform_events.catalog.apply import apply, plan_options
from platform_events.catalog.plan import Plan
from platform_events.errors import (
    BrokerTimeoutError,
    PlatformEventsError,
    StreamDeletedError,
    StreamRecreatedError,
    UnknownStreamError,
)
from platform_events.kafka.admin import Admin
from platform_events.kafka.local import LocalKafka
from platform_events.settings import Settings
from tests.channels.stored import read_identities, read_topic
from tests.support import (
    KEYED,
    ORDER,
    apply_texts,
    delete_by_hand,
    delete_topic,
    load,
    produce_raw,
    topic_of,
    wait_until,
)

EVENT = "Order_Placed__e"
PAYLOAD = {"order_id": "A"}
PUBLISHER = """
import sys
from platform_events import EventBus, PlatformEventsError

with EventBus(bootstrap_servers=sys.argv[1], tenant=sys.argv[2], delivery_timeout=5) as bus:
    with open(sys.argv[3], "w", buffering=1) as results:
        try:
            while True:
                for result in bus.publish_many("Order_Placed__e", [{"order_id": "A"}] * 50):
                    line = f"{result.status.value} {result.event_id} {result.replay_id}"
                    results.write(line + "\\n")
        except PlatformEventsError as error:
            results.write(f"ended {error.code}\\n")
"""


@pytest.fixture(scope="module")
def kafka() -> Iterator[LocalKafka]:
    with LocalKafka(properties={"auto.create.topics.enable": "true"}) as kafka:
        yield kafka


@pytest.fixture
def settings(kafka: LocalKafka, tenant: str, tmp_path: Path) -> Settings:
    settings = Settings(
        bootstrap_servers=kafka.bootstrap_servers,
        tenant=tenant,
        delivery_timeout=5,
        kafka={"topic.metadata.refresh.interval.ms": "500"},
    )
    apply_texts(settings, tmp_path / "schemas", ORDER, KEYED)
    return settings


def make_again(settings: Settings) -> None:
    """Have other software ask for the event's topic, which the broker then makes."""
    produce_raw(settings, EVENT, b"x")


def attempt(bus: EventBus) -> PublishResult | PlatformEventsError:
    try:
        (result,) = bus.publish_many(EVENT, [PAYLOAD])
    except PlatformEventsError as error:
        return error
    return result


def stop_following(bus: EventBus) -> None:
    """Hold up the thread that follows the catalog, as a broker that does not answer does."""
    follower = bus._connection._follower
    assert follower is not None
    follower._closed.set()
    follower._thread.join(20)


def topic_id(settings: Settings) -> str | None:
    with Admin(settings) as admin:
        topic = admin.describe_one(topic_of(settings, EVENT))
    return topic and topic.topic_id


def test_a_publisher_does_not_make_a_topic_again(settings: Settings, bus: EventBus) -> None:
    bus.publish(EVENT, PAYLOAD)
    delete_topic(settings, EVENT)
    for _ in range(3):
        outcome = attempt(bus)
        assert not (isinstance(outcome, PublishResult) and outcome.status.value == "PERSISTED")
    # Several times the interval at which the client looks at the topics that it knows.
    time.sleep(2)
    assert topic_id(settings) is None


def test_a_pruned_topic_is_not_made_again(
    settings: Settings, bus: EventBus, tmp_path: Path
) -> None:
    bus.publish(EVENT, PAYLOAD)
    apply(settings, load(tmp_path / "other", KEYED), plan_options(settings, prune=True))
    assert isinstance(attempt(bus), UnknownStreamError)
    time.sleep(2)
    assert topic_id(settings) is None


def test_nothing_is_persisted_in_a_topic_of_other_software(
    settings: Settings, bus: EventBus, tmp_path: Path
) -> None:
    for _ in range(3):
        bus.publish(EVENT, PAYLOAD)
    delete_topic(settings, EVENT)
    make_again(settings)
    first = attempt(bus)
    if isinstance(first, PublishResult):  # the bus did not know yet
        assert (first.status, type(first.error)) == (PublishStatus.UNKNOWN, StreamRecreatedError)
    with pytest.raises(UnknownStreamError, match="apply takes it over"):
        bus.publish(EVENT, PAYLOAD)
    with EventBus(settings) as other, pytest.raises(UnknownStreamError, match="takes it over"):
        other.publish(EVENT, PAYLOAD)
    apply_texts(settings, tmp_path / "schemas", ORDER, KEYED)
    wait_until(lambda: isinstance(attempt(bus), PublishResult))
    (last,) = bus.publish_many(EVENT, [PAYLOAD])
    assert last.status is PublishStatus.PERSISTED
    with bus.subscribe(EVENT, Start.EARLIEST, follow=False, on_undecodable="skip") as events:
        assert last.event_id in [event.event_id for event in events]


def test_a_topic_whose_timestamps_were_changed_by_hand_is_still_the_stream(
    settings: Settings, bus: EventBus
) -> None:
    with Admin(settings) as admin:
        admin.configure(topic_of(settings, EVENT), {"message.timestamp.type": "CreateTime"})
    results = bus.publish_many(EVENT, [PAYLOAD] * 300)
    assert {result.status for result in results} == {PublishStatus.PERSISTED}


@pytest.mark.parametrize("change", ["deleted", "made again", "retired"])
def test_a_publisher_that_cannot_follow_the_catalog_looks_at_the_topic(
    settings: Settings,
    bus: EventBus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    """Its thread is held up, as by a broker that does not answer."""
    monkeypatch.setattr("platform_events.bus.vouching.TRUSTED_FOR", -1.0)
    bus.publish(EVENT, PAYLOAD)
    target = bus.publishing().find(EVENT)
    stop_following(bus)
    assert target.voucher.doubt(time.monotonic(), stamped=True) is None
    if change == "retired":
        apply_texts(settings, tmp_path / "other", KEYED, prune=True)
    else:
        delete_topic(settings, EVENT)
    if change == "made again":
        apply_texts(settings, tmp_path / "schemas", ORDER, KEYED)
    expected = {
        "deleted": StreamDeletedError,
        "made again": StreamRecreatedError,
        "retired": UnknownStreamError,
    }
    assert type(target.voucher.doubt(time.monotonic(), stamped=True)) is expected[change]


def test_a_lost_catalog_takes_nothing_back(
    settings: Settings, bus: EventBus, tmp_path: Path
) -> None:
    """Nor does one that is there again with nothing in it yet: an operator may be asked."""
    bus.publish(EVENT, PAYLOAD)
    revision = bus.catalog.revision
    delete_by_hand(settings, settings.namespace.catalog)
    wait_until(lambda: bus.catalog.revision > revision)
    assert not bus.catalog.is_read
    bus.publish(EVENT, PAYLOAD)
    with pytest.raises(UnknownStreamError, match="has no definitions"):
        bus.publish("Reading_Taken__e", PAYLOAD)

    def confirm(_: Plan) -> bool:
        bus.catalog.refresh()
        bus.publish(EVENT, PAYLOAD)
        return True

    definitions = load(tmp_path / "schemas", ORDER, KEYED)
    apply(settings, definitions, plan_options(settings), confirm=confirm)
    bus.catalog.refresh()
    bus.publish(EVENT, PAYLOAD)
    with bus.subscribe(EVENT, Start.EARLIEST, follow=False) as events:
        assert len(list(events)) == 4


@pytest.mark.parametrize("trouble", ["made again", "the catalog does not answer"])
def test_many_events_in_doubt_cost_one_look(
    settings: Settings, bus: EventBus, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    bus.publish(EVENT, PAYLOAD)
    target = bus.publishing().find(EVENT)
    stop_following(bus)
    looks = 0
    refresh = bus.catalog.refresh

    def look() -> None:
        nonlocal looks
        looks += 1
        if trouble != "made again":
            raise BrokerTimeoutError("no answer")
        refresh()

    monkeypatch.setattr(bus.catalog, "refresh", look)
    target.voucher.sure_until = 0.0
    if trouble == "made again":
        delete_topic(settings, EVENT)
        make_again(settings)
    told_at = time.monotonic()
    monkeypatch.setattr(target.voucher, "learn", lambda: None)
    doubts = [target.voucher.doubt(told_at, stamped=True) for _ in range(300)]
    expected = StreamRecreatedError if trouble == "made again" else BrokerTimeoutError
    assert ({type(doubt) for doubt in doubts}, looks) == ({expected}, 1)


def test_only_a_process_that_publishes_keeps_its_knowledge_fresh(bus: EventBus) -> None:
    bus.catalog.refresh()
    assert bus._followed is not None
    assert bus._followed.refresh > 1_000
    bus.publish(EVENT, PAYLOAD)
    before = bus.catalog.known_at
    wait_until(lambda: bus.catalog.known_at > before)


@pytest.mark.parametrize("made_by", ["other software", "apply"])
def test_a_publisher_that_was_stopped_persists_nothing_in_another_topic(
    settings: Settings, tmp_path: Path, made_by: str
) -> None:
    path = tmp_path / "results"
    words = [settings.bootstrap_servers, settings.tenant, str(path)]
    process = subprocess.Popen([sys.executable, "-c", PUBLISHER, *words])
    try:
        wait_until(lambda: path.exists() and path.read_text().count("PERSISTED") > 200)
        process.send_signal(signal.SIGSTOP)
        before = path.read_text()
        apply(settings, load(tmp_path / "other", KEYED), plan_options(settings, prune=True))
        if made_by == "apply":
            apply_texts(settings, tmp_path / "schemas", ORDER, KEYED)
        else:
            make_again(settings)
        process.send_signal(signal.SIGCONT)
        if made_by == "apply":
            wait_until(lambda: "PERSISTED" in path.read_text()[len(before) :])
        else:
            process.wait(60)
            assert "ended UNKNOWN_STREAM" in path.read_text()
    finally:
        process.kill()
        process.wait()
    lines = [line.split() for line in path.read_text().splitlines()]
    persisted = {words[1]: words[2] for words in lines if words[0] == "PERSISTED"}
    (rows,) = read_topic(settings, topic_of(settings, EVENT))
    stored = {(dict(row.headers)["ce_id"] or b"").decode(): row for row in rows if row.headers}
    if made_by == "other software":
        assert not persisted.keys() & stored
        return
    identity = read_identities(settings, [EVENT])[EVENT]
    for event_id in persisted.keys() & stored:
        assert persisted[event_id] == str(identity.position_id([stored[event_id].offset + 1]))
