"""Definitions as values, and as the catalog stores them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from platform_events.definitions import Definitions, EventDefinition
from platform_events.errors import CatalogCorruptError
from tests.files.reading import event

ONE = event("event: A__e\nowner: shop\nfields: [{name: id, type: string}]\n")
OTHER = event("event: A__e\nfields: [{name: id, type: int}]\n")


def test_the_catalog_names_the_schema_and_does_not_repeat_it() -> None:
    stored = ONE.to_json()
    assert stored["schema_id"] == ONE.schema.id
    assert ONE.schema.text not in json.dumps(stored)


def test_where_it_is_defined_makes_no_difference() -> None:
    assert replace(ONE, file="elsewhere", line=9) == ONE
    assert replace(ONE, owner="else") != ONE


def test_keys_of_a_newer_version_are_ignored() -> None:
    assert EventDefinition.from_json(ONE.to_json() | {"compaction": True}, ONE.schema) == ONE


@pytest.mark.parametrize("key", sorted(ONE.to_json().keys() - {"partition_key", "compatibility"}))
@pytest.mark.parametrize("value", [None, [], 1.5, True])
def test_a_part_of_the_wrong_kind_is_corrupt(key: str, value: Any) -> None:
    with pytest.raises(CatalogCorruptError, match=key):
        EventDefinition.from_json(ONE.to_json() | {key: value}, ONE.schema)


@pytest.mark.parametrize("mode", ["absent", "full_transitive", None, 3])
def test_a_mode_from_before_there_were_modes_or_since_is_the_default(mode: Any) -> None:
    stored = replace(ONE, compatibility="none").to_json()
    assert EventDefinition.from_json(stored, ONE.schema).compatibility == "none"
    changed = {key: value for key, value in stored.items() if key != "compatibility"}
    changed |= {} if mode == "absent" else {"compatibility": mode}
    assert EventDefinition.from_json(changed, ONE.schema).compatibility == "full"


def test_another_schema_is_corrupt() -> None:
    with pytest.raises(CatalogCorruptError, match="names another schema"):
        EventDefinition.from_json(ONE.to_json(), OTHER.schema)


def test_definitions_are_in_order_and_cannot_be_changed() -> None:
    two = replace(ONE, name="B__e")
    definitions = Definitions("shop", {"B__e": two, "A__e": ONE})
    assert list(definitions.events) == ["A__e", "B__e"]
    assert definitions == Definitions("shop", {"A__e": ONE, "B__e": two})
    with pytest.raises(TypeError):
        definitions.events["C__e"] = ONE  # type: ignore[index]
