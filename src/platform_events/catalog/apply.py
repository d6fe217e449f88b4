"""Carrying a plan out: catalog first, then topics, then the catalog again.

Each step leaves what the next apply can finish. Only one writer's catalog records count (the
writer is fenced); topics are changed from the committed catalog, and a loser's late change to a
topic is drift that the next apply repairs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.catalog.plan import (
    Change,
    Plan,
    PlanOptions,
    TopicFacts,
    make_plan,
    with_latest,
)
from platform_events.catalog.state import CatalogState, Entry, entry_records
from platform_events.errors import BrokerTimeoutError, PlanRefusedError
from platform_events.kafka.admin import Admin
from platform_events.kafka.ledger import LedgerWriter
from platform_events.kafka.producer import MAX_BATCH_BYTES
from platform_events.kafka.reader import read_range

if TYPE_CHECKING:
    from collections.abc import Callable

    from platform_events.definitions.model import Definitions
    from platform_events.settings import Settings

_CATALOG_CONFIG = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_BATCH_BYTES)}


def plan_options(
    settings: Settings, *, allow_growth: bool = False, prune: bool = False
) -> PlanOptions:
    """Return the options of a plan under these settings."""
    return PlanOptions(
        allow_growth=allow_growth,
        prune=prune,
        replication_factor=settings.replication_factor,
        min_insync_replicas=settings.min_insync_replicas,
        max_message_bytes=MAX_BATCH_BYTES,
    )


def read_plan(settings: Settings, desired: Definitions, options: PlanOptions) -> Plan:
    """Return what `apply` would do now, without changing anything.

    Raises:
        CatalogCorruptError: a catalog record cannot be read.
        BrokerError: the cluster cannot be asked.
    """
    with Admin(settings) as admin:
        return _plan(settings, admin, desired, options)


def apply(
    settings: Settings,
    desired: Definitions,
    options: PlanOptions,
    *,
    confirm: Callable[[Plan], bool] = lambda _: True,
    progress: Callable[[Change], None] = lambda _: None,
) -> Plan:
    """Make topics and catalog what the definitions say, and return what was done.

    Args:
        settings: which cluster and tenant.
        desired: the definitions of one project.
        options: what the operator allows.
        confirm: is shown the plan before anything changes; False ends it there.
        progress: is told each change to a topic when it is done.

    Raises:
        PlanRefusedError: a change is refused; nothing was changed.
        ApplyConflictError: another apply took over.
        CatalogCorruptError: a catalog record cannot be read.
        BrokerError: a step failed; apply again to finish.
    """
    topic = settings.namespace.catalog
    with Admin(settings) as admin:
        _make_catalog(settings, admin, topic)
        with LedgerWriter(settings, topic) as writer:
            plan = _plan(settings, admin, desired, options)
            if plan.refusals:
                raise PlanRefusedError(plan.refusals)
            if plan.effective and confirm(plan):
                _carry_out(plan, settings, admin, writer, options, progress)
    return plan


def _make_catalog(settings: Settings, admin: Admin, topic: str) -> None:
    """Make the catalog's topic, or repair its config."""
    config = dict(_CATALOG_CONFIG)
    if settings.min_insync_replicas is not None:
        config["min.insync.replicas"] = str(settings.min_insync_replicas)
    admin.create(topic, 1, settings.replication_factor, config)
    admin.await_topic(topic)
    present = admin.configs([topic])[topic]
    drifted = {key: value for key, value in config.items() if present.get(key) != value}
    if drifted:
        admin.configure(topic, drifted)


def _carry_out(
    plan: Plan,
    settings: Settings,
    admin: Admin,
    writer: LedgerWriter,
    options: PlanOptions,
    progress: Callable[[Change], None],
) -> None:
    _commit(writer, [change.entry for change in plan.effective if change.entry is not None])
    done: list[Entry] = []
    for change in plan.effective:
        name = settings.namespace.topic(change.name)
        if change.touches_topic:
            writer.check_fence()
            _change_topic(admin, name, change, options)
        if change.entry is not None:
            done.append(_finish(admin, name, change.entry))
        progress(change)
    _commit(writer, done)


def _commit(writer: LedgerWriter, entries: list[Entry]) -> None:
    try:
        writer.commit(dict(entry_records(entries)))
    except BrokerTimeoutError as error:
        raise BrokerTimeoutError(
            f"{error}; whether the catalog was written is not known, apply again to find out "
            "and to finish",
            error.kafka_code,
        ) from error


def _change_topic(admin: Admin, name: str, change: Change, options: PlanOptions) -> None:
    if change.delete_topic:
        admin.delete(name)
        return
    if change.create_topic and change.entry is not None and change.entry.wanted is not None:
        admin.create(
            name, change.entry.wanted.partitions, options.replication_factor, change.config
        )
        return
    if change.grow_to is not None:
        admin.grow(name, change.grow_to)
    if change.config:
        admin.configure(name, change.config)


def _finish(admin: Admin, name: str, entry: Entry) -> Entry:
    if entry.wanted is None:
        # The name is free: what comes next under it owes nothing to the schemas before.
        return replace(entry, active=None, schema_ids=())
    topic = admin.await_topic(name)
    return replace(
        entry,
        active=entry.wanted,
        schema_ids=with_latest(entry.schema_ids, entry.wanted.schema.id),
        topic_ids=with_latest(entry.topic_ids, topic.topic_id),
    )


def _plan(settings: Settings, admin: Admin, desired: Definitions, options: PlanOptions) -> Plan:
    state = read_catalog(settings, admin)
    names = set(desired.events) | {
        name for name, entry in state.entries.items() if entry.project == desired.project
    }
    return make_plan(desired, state, _read_topics(settings, admin, names), options)


def read_catalog(settings: Settings, admin: Admin) -> CatalogState:
    """Return the catalog as it is now; empty where nothing was ever applied."""
    state = CatalogState()
    topic = settings.namespace.catalog
    if admin.describe_one(topic) is None:
        return state
    for record in read_range(settings, topic, admin.watermarks({topic: 1})[topic]):
        state.fold(record.key(), record.value(), f"{topic}@{record.offset()}")
    return state


def _read_topics(settings: Settings, admin: Admin, names: set[str]) -> dict[str, TopicFacts | None]:
    by_topic = {settings.namespace.topic(name): name for name in names}
    found = {topic: facts for topic, facts in admin.describe(by_topic).items() if facts}
    configs = admin.configs(found)
    return {
        name: TopicFacts(
            found[topic].topic_id,
            found[topic].partitions,
            found[topic].replication_factor,
            configs[topic],
        )
        if topic in found
        else None
        for topic, name in by_topic.items()
    }
