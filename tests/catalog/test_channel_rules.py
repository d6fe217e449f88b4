"""What events and channels must not do to each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from platform_events.catalog.plan import Action
from platform_events.definitions.model import Definitions, Member
from tests.catalog.world import (
    CHANNEL_NAME,
    OPTIONS,
    ORDER,
    ORDER_NAME,
    PRUNING,
    READING_NAME,
    WITHOUT_AMOUNT,
    World,
    applied,
    change_of,
    with_channel,
    with_event,
    without_channel,
)
from tests.support import load


def test_retention_shorter_than_a_member_s_is_refused(sales: Definitions) -> None:
    longer = with_event(sales, ORDER_NAME, retention_ms=96 * 3_600_000)
    (refusal,) = change_of(applied(sales).plan(longer)).refusals
    assert refusal.startswith("retention 72h is shorter than the 4d of its member Order_Placed__e")


def test_a_member_may_not_outlive_a_channel_that_is_only_in_the_catalog(
    sales: Definitions,
) -> None:
    longer = without_channel(with_event(sales, ORDER_NAME, retention_ms=96 * 3_600_000))
    plan = applied(sales).plan(longer)
    (refusal,) = change_of(plan, ORDER_NAME).refusals
    assert refusal.startswith("retention 4d is longer than the 72h of the channel Sales__chn")
    assert applied(sales).plan(longer, PRUNING).refusals == ()


def test_member_and_channel_may_be_kept_longer_in_one_apply(sales: Definitions) -> None:
    longer = with_event(sales, ORDER_NAME, retention_ms=96 * 3_600_000)
    plan = applied(sales).plan(with_channel(longer, retention_ms=96 * 3_600_000))
    assert plan.refusals == ()
    assert [change.action for change in plan.changes] == [
        Action.UPDATE, Action.NONE, Action.UPDATE,
    ]  # fmt: skip


def test_a_member_of_another_project_or_of_none_is_refused(sales: Definitions) -> None:
    alone = replace(sales, events={READING_NAME: sales.events[READING_NAME]})
    (refusal,) = change_of(World().plan(alone)).refusals
    assert refusal.startswith("no file of this project defines its member Order_Placed__e")


@pytest.mark.parametrize("defined", [True, False])
def test_a_field_that_an_active_filter_uses_is_not_dropped(
    sales: Definitions, tmp_path: Path, defined: bool
) -> None:
    """Also when the files' filter does not use it any more: the router has not changed yet."""
    schema = load(tmp_path, WITHOUT_AMOUNT).events[ORDER_NAME].schema
    dropped = with_event(sales, ORDER_NAME, schema=schema)
    changed = with_channel(dropped, members=(Member(ORDER_NAME), Member(READING_NAME)))
    desired = changed if defined else without_channel(dropped)
    plan = applied(sales).plan(desired)
    assert change_of(plan, ORDER_NAME).refusals == (
        "the filter of Sales__chn uses amount; change the filter and apply, then drop the field",
    )
    assert change_of(plan).refusals == ()
    assert applied(changed).plan(changed).refusals == ()


def test_an_interrupted_change_of_the_filter_does_not_free_the_field(
    sales: Definitions, tmp_path: Path
) -> None:
    world = applied(sales)
    freed = with_channel(sales, members=(Member(ORDER_NAME), Member(READING_NAME)))
    world.change(CHANNEL_NAME, wanted=freed.channels[CHANNEL_NAME])
    schema = load(tmp_path, WITHOUT_AMOUNT).events[ORDER_NAME].schema
    for desired in (freed, without_channel(freed)):
        plan = world.plan(with_event(desired, ORDER_NAME, schema=schema))
        (refusal,) = change_of(plan, ORDER_NAME).refusals
        assert refusal.startswith("the filter of Sales__chn uses amount;")


def test_another_project_s_filter_holds_a_field_too(sales: Definitions, tmp_path: Path) -> None:
    world = applied(sales)
    world.change(CHANNEL_NAME, project="billing")
    schema = load(tmp_path, WITHOUT_AMOUNT).events[ORDER_NAME].schema
    desired = without_channel(with_event(sales, ORDER_NAME, schema=schema))
    for options in (OPTIONS, PRUNING):
        (refusal,) = change_of(world.plan(desired, options), ORDER_NAME).refusals
        assert "the filter of Sales__chn uses amount" in refusal


def test_a_nested_field_that_a_filter_uses_is_named(tmp_path: Path) -> None:
    event = """
    event: A__e
    fields:
      - name: place
        type: {{type: record, name: Place, fields: [{0}]}}
        optional: true
    """
    channel = "channel: C__chn\nmembers: [{event: A__e, filter: place.city = 'Oslo'}]\n"
    before = load(
        tmp_path,
        event.format("{name: city, type: string, optional: true}, {name: x, type: int}"),
        channel,
    )
    after = load(tmp_path, event.format("{name: x, type: int}"))
    (refusal,) = change_of(applied(before).plan(after), "A__e").refusals
    assert refusal.startswith("the filter of C__chn uses place.city;")


def test_a_filter_that_would_not_fit_a_field_s_new_type_is_refused(
    sales: Definitions, tmp_path: Path
) -> None:
    """Such as a field of a name that was free, which another schema has taken."""
    text = ORDER.replace("type: double", "type: string")
    schema = load(tmp_path, text).events[ORDER_NAME].schema
    plan = applied(sales).plan(without_channel(with_event(sales, ORDER_NAME, schema=schema)))
    assert any(
        refusal.startswith("the filter of Sales__chn would be wrong: ")
        for refusal in change_of(plan, ORDER_NAME).refusals
    )


def test_a_filter_in_the_files_has_to_fit(sales: Definitions) -> None:
    wrong = with_channel(sales, members=(Member(ORDER_NAME, "amont >= 1"),))
    (refusal,) = change_of(applied(sales).plan(wrong)).refusals
    assert refusal.startswith("the filter of Order_Placed__e: ")
    assert "amont" in refusal


def test_a_member_is_not_deleted(sales: Definitions) -> None:
    """Not even when the files' channel does without it: the router has not changed yet."""
    smaller = with_channel(
        replace(sales, events={READING_NAME: sales.events[READING_NAME]}),
        members=(Member(READING_NAME),),
    )
    plan = applied(sales).plan(smaller, PRUNING)
    assert plan.refusals == (
        "Order_Placed__e: Sales__chn has it as a member; drop it there and apply, then delete it",
    )
    assert applied(sales).plan(smaller).refusals == ()
