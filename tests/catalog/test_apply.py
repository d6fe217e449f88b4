"""Applying definitions to a real cluster, also when it is interrupted or raced."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog import apply as apply_module
from platform_events.catalog.apply import apply, plan_options, read_catalog, read_plan
from platform_events.catalog.plan import Action
from platform_events.errors import (
    ApplyConflictError,
    PlanRefusedError,
    PlatformEventsError,
    UnknownStreamError,
)
from platform_events.kafka.admin import Admin
from platform_events.kafka.ledger import LedgerWriter
from platform_events.settings import Settings
from tests.catalog.interruption import Killed, interrupt
from tests.support import KEYED, ORDER, apply_texts, load, topic_of

ORDER_NAME = "Order_Placed__e"
READING_NAME = "Reading_Taken__e"


def topic_config(settings: Settings, name: str) -> dict[str, str]:
    with Admin(settings) as admin:
        return admin.configs([topic_of(settings, name)])[topic_of(settings, name)]


def actions(settings: Settings, directory: Path, *documents: str, **allow: bool) -> list[Action]:
    plan = read_plan(settings, load(directory, *documents), plan_options(settings, **allow))
    return [change.action for change in plan.changes]


def test_definitions_become_topics_and_applying_again_changes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    assert actions(settings, tmp_path, ORDER, KEYED) == [Action.CREATE] * 2
    apply_texts(settings, tmp_path, ORDER.replace("fields:", "retention: 36h\nfields:"), KEYED)
    config = topic_config(settings, ORDER_NAME)
    assert config["retention.ms"] == str(36 * 3_600_000)
    assert config["message.timestamp.type"] == "LogAppendTime"
    with Admin(settings) as admin:
        found = admin.describe_one(topic_of(settings, READING_NAME))
        assert found is not None
        assert found.partitions == 3
        before = admin.watermarks({settings.namespace.catalog: 1})
        again = apply_texts(
            settings, tmp_path, ORDER.replace("fields:", "retention: 36h\nfields:"), KEYED
        )
        assert again.effective == ()
        assert admin.watermarks({settings.namespace.catalog: 1}) == before


def test_drift_is_repaired(settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path, ORDER)
    with Admin(settings) as admin:
        admin.configure(topic_of(settings, ORDER_NAME), {"retention.ms": "1234567"})
    assert actions(settings, tmp_path, ORDER) == [Action.REPAIR]
    apply_texts(settings, tmp_path, ORDER)
    assert topic_config(settings, ORDER_NAME)["retention.ms"] == str(72 * 3_600_000)


def test_one_refusal_applies_nothing(settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path, ORDER)
    broken = ORDER.replace("type: double, default: 0.0", "type: string")
    with pytest.raises(PlanRefusedError, match=r"Order_Placed__e.*amount") as caught:
        apply_texts(settings, tmp_path, broken, KEYED)
    assert len(caught.value.refusals) == 1
    with EventBus(settings) as bus, pytest.raises(UnknownStreamError):
        bus.publish(READING_NAME, {"sensor": "a", "value": 1})
    with Admin(settings) as admin:
        assert admin.describe_one(topic_of(settings, READING_NAME)) is None


def test_another_process_finds_everything_in_the_catalog(
    settings: Settings, tmp_path: Path
) -> None:
    documented = ORDER + "description: Somebody bought something.\nowner: shop\n"
    apply_texts(settings, tmp_path, documented)
    with EventBus(settings) as bus:
        definition = bus.catalog.event(ORDER_NAME)
        assert (definition.owner, definition.description) == ("shop", "Somebody bought something.")
        assert bus.catalog.schema(definition.schema.id) == definition.schema


def test_pruning_deletes_topic_and_definition_and_keeps_the_schema(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER, KEYED)
    assert actions(settings, tmp_path, KEYED) == [Action.NONE, Action.KEEP]
    apply_texts(settings, tmp_path, KEYED)
    with EventBus(settings) as bus:
        schema_id = bus.catalog.event(ORDER_NAME).schema.id
        apply_texts(settings, tmp_path, KEYED, prune=True)
        bus.catalog.refresh()
        with pytest.raises(UnknownStreamError, match="was deleted"):
            bus.subscribe(ORDER_NAME)
        assert bus.catalog.schema(schema_id).id == schema_id


def test_a_pruned_name_is_free_for_another_schema(settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path, ORDER, KEYED)
    apply_texts(settings, tmp_path, KEYED, prune=True)
    other = ORDER.replace("type: double, default: 0.0", "type: string")
    apply_texts(settings, tmp_path, other, KEYED)
    assert actions(settings, tmp_path, other, KEYED) == [Action.NONE] * 2


def test_the_catalog_s_own_config_is_repaired(settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path, ORDER)
    with Admin(settings) as admin:
        admin.configure(settings.namespace.catalog, {"cleanup.policy": "delete"})
        apply_texts(settings, tmp_path, ORDER)
        config = admin.configs([settings.namespace.catalog])[settings.namespace.catalog]
    assert config["cleanup.policy"] == "compact"


def test_projects_share_a_tenant_and_leave_each_other_alone(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path / "a", ORDER, project="shop")
    apply_texts(settings, tmp_path / "b", KEYED, project="plant", prune=True)
    with Admin(settings) as admin:
        state = read_catalog(settings, admin)
    assert {e.name: e.project for e in state.entries.values()} == {
        ORDER_NAME: "shop", READING_NAME: "plant",
    }  # fmt: skip
    with pytest.raises(PlanRefusedError, match="'shop' owns it"):
        apply_texts(settings, tmp_path / "b", ORDER, KEYED, project="plant")


# The catalog, the old topic's config, the new topic, the catalog again.
@pytest.mark.parametrize("number", range(1, 5))
def test_killed_between_any_two_steps_the_next_apply_finishes(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    apply_texts(settings, tmp_path, ORDER)
    with Admin(settings) as admin:
        admin.configure(topic_of(settings, ORDER_NAME), {"retention.ms": "1234567"})
    more = ORDER + "  - {name: city, type: string, optional: true}\n"
    with monkeypatch.context() as patch:
        interrupt(patch, number)
        with pytest.raises(Killed):
            apply_texts(settings, tmp_path, more, KEYED)
    apply_texts(settings, tmp_path, more, KEYED)
    assert actions(settings, tmp_path, more, KEYED) == [Action.NONE] * 2
    with Admin(settings) as admin:
        state = read_catalog(settings, admin)
        assert not any(entry.pending for entry in state.entries.values())
        for name in (ORDER_NAME, READING_NAME):
            found = admin.describe_one(topic_of(settings, name))
            assert found is not None
            assert state.entries[name].topic_ids[-1] == found.topic_id
    with EventBus(settings) as bus:
        bus.publish(ORDER_NAME, {"order_id": "A", "city": "Oslo"})
        bus.publish(READING_NAME, {"sensor": "a", "value": 1})


def test_pending_is_not_publishable(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(apply_module, "_change_topic", die)
        with pytest.raises(Killed):
            apply_texts(settings, tmp_path, ORDER)
    with EventBus(settings) as bus, pytest.raises(UnknownStreamError, match="being applied"):
        bus.publish(ORDER_NAME, {"order_id": "A"})


def test_a_second_writer_fences_the_first_even_without_a_change(settings: Settings) -> None:
    with Admin(settings) as admin:
        admin.create(settings.namespace.catalog, 1, -1, {"cleanup.policy": "compact"})
    with LedgerWriter(settings, settings.namespace.catalog) as first:
        first.check_fence()
        with LedgerWriter(settings, settings.namespace.catalog) as second:
            with pytest.raises(ApplyConflictError, match="took over"):
                first.check_fence()
            second.check_fence()


def test_concurrent_applies_one_wins_and_the_other_is_told(
    settings: Settings, tmp_path: Path
) -> None:
    """Whoever loses, the catalog is one of the two and consistent, and applying again succeeds."""
    texts = [
        [ORDER + f"owner: team-{number}\n", KEYED + f"owner: team-{number}\n"]
        for number in range(3)
    ]
    loaded = [load(tmp_path / str(number), *text) for number, text in enumerate(texts)]
    outcomes: list[PlatformEventsError | None] = []
    barrier = threading.Barrier(len(loaded))

    def work(definitions: Any) -> None:
        barrier.wait()
        try:
            apply(settings, definitions, plan_options(settings))
        except PlatformEventsError as error:
            outcomes.append(error)
        else:
            outcomes.append(None)

    threads = [threading.Thread(target=work, args=(one,)) for one in loaded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == 3
    assert None in outcomes
    assert all(error is None or isinstance(error, ApplyConflictError) for error in outcomes)
    for definitions in loaded[:1]:
        apply(settings, definitions, plan_options(settings))
    with Admin(settings) as admin:
        state = read_catalog(settings, admin)
    assert {e.active and e.active.owner for e in state.entries.values()} == {"team-0"}
    assert not any(entry.pending for entry in state.entries.values())
