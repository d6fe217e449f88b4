"""What `check` accepts survives apply, restart, plan and prune on a real broker."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from platform_events.bus.bus import EventBus
from platform_events.catalog.apply import apply, plan_options, read_catalog, read_plan
from platform_events.catalog.plan import Action
from platform_events.definitions.model import Definitions
from platform_events.definitions.storage import MAX_STORED
from platform_events.errors import CatalogCorruptError, DefinitionsError
from platform_events.files.loader import load_definitions
from platform_events.kafka.admin import Admin
from platform_events.settings import Settings
from tests.catalog.test_state import nested, newer
from tests.support import KEYED, ORDER, apply_texts, load, produce_to

ORDER_NAME = "Order_Placed__e"


def write(directory: Path, name: str, fields: list[Any], **more: Any) -> None:
    """Write an event with an Avro file."""
    directory.mkdir(exist_ok=True)
    record = {"type": "record", "name": name, "fields": fields} | more
    (directory / f"{name}.yaml").write_text(f"event: {name}\navro: {name}.avsc\n")
    text = json.dumps(record, ensure_ascii=False)
    (directory / f"{name}.avsc").write_text(text, encoding="utf-8")


def actions(settings: Settings, desired: Definitions) -> list[Action]:
    plan = read_plan(settings, desired, plan_options(settings))
    return [change.action for change in plan.changes]


def test_what_is_large_or_deep_survives(settings: Settings, tmp_path: Path) -> None:
    plain = [{"name": "a", "type": "int", "unit": [1e308, {"ä": None}]}]
    write(tmp_path, "Deep__e", nested(23))
    write(tmp_path, "Large__e", plain, doc="\U0001f600" * (MAX_STORED // 4 - 128))
    write(tmp_path, "Odd__e", plain)
    desired = load_definitions(tmp_path)
    options = plan_options(settings, prune=True)
    apply(settings, desired, options)
    assert actions(settings, desired) == [Action.NONE] * 3
    with EventBus(settings) as bus:
        assert bus.catalog.event("Large__e") == desired.events["Large__e"]
        assert bus.publish("Deep__e", {}).replay_id
        assert bus.publish("Odd__e", {"a": 1}).replay_id
    for path in (*tmp_path.glob("[DL]*"),):
        path.unlink()
    apply(settings, load_definitions(tmp_path), options)
    with Admin(settings) as admin:
        state = read_catalog(settings, admin)
    assert {name for name, entry in state.entries.items() if entry.active} == {"Odd__e"}
    assert len(state.schemas) == 3
    write(tmp_path, "Large__e", plain, doc="x" * MAX_STORED)
    with pytest.raises(DefinitionsError, match="at most"):
        load_definitions(tmp_path)


def test_an_unreadable_entry_is_repaired_by_its_definition_and_harms_no_other(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER, KEYED)
    catalog = settings.namespace.catalog
    with Admin(settings) as admin:
        record = read_catalog(settings, admin).records(
            [read_catalog(settings, admin).entries[ORDER_NAME]]
        )[f"event/{ORDER_NAME}"]
    for value, message in ((b"junk", "cannot be read"), (newer(record, version=9), "newer")):
        with EventBus(settings) as bus:
            bus.publish(ORDER_NAME, {"order_id": "A"})
            produce_to(settings, catalog, f"event/{ORDER_NAME}".encode(), value)
            bus.catalog.refresh()
            for _ in range(2):
                with pytest.raises(CatalogCorruptError, match=f"{message}.*apply the definition"):
                    bus.publish(ORDER_NAME, {"order_id": "B"})
            bus.publish("Reading_Taken__e", {"sensor": "a", "value": 1})
            assert actions(settings, load(tmp_path, ORDER, KEYED)) == [
                Action.REPAIR, Action.NONE,
            ]  # fmt: skip
            apply_texts(settings, tmp_path, ORDER, KEYED)
            bus.publish(ORDER_NAME, {"order_id": "C"})
        assert actions(settings, load(tmp_path, ORDER, KEYED)) == [Action.NONE] * 2


def test_an_unreadable_schema_is_repaired_by_its_definition(
    settings: Settings, tmp_path: Path
) -> None:
    apply_texts(settings, tmp_path, ORDER, KEYED)
    with EventBus(settings) as bus:
        schema = bus.catalog.event(ORDER_NAME).schema
    produce_to(settings, settings.namespace.catalog, f"schema/{schema.id}".encode(), b"[1")
    with EventBus(settings) as bus:
        with pytest.raises(CatalogCorruptError, match="apply the definition again"):
            bus.catalog.schema(schema.id)
        with pytest.raises(CatalogCorruptError, match=schema.id):
            bus.publish(ORDER_NAME, {"order_id": "B"})
        apply_texts(settings, tmp_path, ORDER, KEYED)
        assert bus.catalog.schema(schema.id) == schema
        assert bus.publish(ORDER_NAME, {"order_id": "C"}).replay_id


def test_entries_can_be_walked_while_others_arrive(settings: Settings, tmp_path: Path) -> None:
    apply_texts(settings, tmp_path, ORDER)
    done = threading.Event()

    def write_more() -> None:
        for number in range(150):
            key = f"event/More_{number}__e".encode()
            produce_to(settings, settings.namespace.catalog, key, b"junk")
        done.set()

    with EventBus(settings) as bus:
        writer = threading.Thread(target=write_more)
        writer.start()
        while not done.is_set():
            names = [entry.name for entry in bus.catalog.entries()]
            assert names == sorted(names)
            assert len(bus.catalog.known()) >= len(names)
        writer.join()
        assert len(bus.catalog.entries()) == 151
