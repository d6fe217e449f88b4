"""Carrying a plan out: catalog first, then topics, then the catalog again.

Each step leaves what the next apply can finish. Only one writer's catalog records count (the
writer is fenced); topics are changed from the committed catalog, and a loser's late change to a
topic is drift that the next apply repairs.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from platform_events.catalog.changes import Change, Plan, PlanOptions, TopicChange
from platform_events.catalog.channel_plan import is_refilled
from platform_events.catalog.feeding import MemberTopic, make_feeding
from platform_events.catalog.ownership import with_latest
from platform_events.catalog.plan import make_plan, planned_topics
from platform_events.catalog.positions import Place, read_positions
from platform_events.catalog.retirement import RETIRED_FOR
from platform_events.catalog.schema_plan import activate_event
from platform_events.catalog.state import CatalogState, Entry
from platform_events.catalog.topics import TopicFacts, kept_ms
from platform_events.definitions.model import ChannelDefinition
from platform_events.errors import BrokerTimeoutError, PlanRefusedError
from platform_events.kafka.admin import Admin
from platform_events.kafka.ledger import LedgerWriter, await_readable
from platform_events.kafka.offsets import read_committed
from platform_events.kafka.producer import MAX_BATCH_BYTES, ORIGIN_ROOM
from platform_events.kafka.reader import read_range
from platform_events.kafka.transactions import TransactionalProducer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from platform_events.definitions.model import Definitions
    from platform_events.kafka.admin import Topic
    from platform_events.names import Namespace
    from platform_events.settings import Settings

_CATALOG_CONFIG = {"cleanup.policy": "compact", "max.message.bytes": str(MAX_BATCH_BYTES)}
_FENCE_TIMEOUT_MS = 30_000
"""Nothing is written under it; the coordinator wants to know."""


def plan_options(
    settings: Settings,
    *,
    allow_growth: bool = False,
    prune: bool = False,
    replace: Iterable[str] = (),
) -> PlanOptions:
    """Return the options of a plan under these settings."""
    return PlanOptions(
        allow_growth=allow_growth,
        prune=prune,
        replace=frozenset(replace),
        replication_factor=settings.replication_factor,
        min_insync_replicas=settings.min_insync_replicas,
        max_message_bytes=MAX_BATCH_BYTES,
        max_channel_message_bytes=MAX_BATCH_BYTES + ORIGIN_ROOM,
        namespace=settings.namespace,
    )


def read_plan(settings: Settings, desired: Definitions, options: PlanOptions) -> Plan:
    """Return what `apply` would do now, without changing anything.

    Raises:
        BrokerError: the cluster cannot be asked.
    """
    with Admin(settings) as admin:
        return _plan(read_catalog(settings, admin), admin, desired, options)


def apply(
    settings: Settings,
    desired: Definitions,
    options: PlanOptions,
    *,
    confirm: Callable[[Plan], bool] = lambda _: True,
    progress: Callable[[Change], None] = lambda _: None,
    retired_for: float = RETIRED_FOR,
) -> Plan:
    """Make topics and catalog what the definitions say, and return what was done.

    Args:
        settings: which cluster and tenant.
        desired: the definitions of one project.
        options: what the operator allows.
        confirm: is shown the plan before anything changes; False ends it there.
        progress: is told each change to a topic when it is done.
        retired_for: seconds for which publishers can see that a name is retired before its topics
            are deleted.

    Raises:
        PlanRefusedError: a change is refused; nothing was changed.
        ApplyConflictError: another apply took over.
        BrokerError: a step failed; apply again to finish.
    """
    topic = settings.namespace.catalog
    with Admin(settings) as admin:
        _make_catalog(settings, admin, topic)
        with LedgerWriter(settings, topic) as writer:
            state = read_catalog(settings, admin, expected=True)
            plan = _plan(state, admin, desired, options)
            if plan.refusals:
                raise PlanRefusedError(plan.refusals)
            if plan.effective and confirm(plan):
                _carry_out(plan, state, settings, admin, writer, progress, retired_for)
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
    state: CatalogState,
    settings: Settings,
    admin: Admin,
    writer: LedgerWriter,
    progress: Callable[[Change], None],
    retired_for: float,
) -> None:
    _commit(writer, state, [change.entry for change in plan.effective if change.entry is not None])
    if any(change.retires for change in plan.effective):
        await_readable(settings, admin, settings.namespace.catalog)
    delete_at = time.monotonic() + retired_for
    done: list[Entry] = []
    for change in plan.effective:
        if change.retires:
            time.sleep(max(0.0, delete_at - time.monotonic()))
        for topic in change.topics:
            writer.check_fence()
            if topic.create and topic.topic == settings.namespace.topic(change.name):
                _fence_feeders(settings, state, change.name)
            _change_topic(admin, topic, settings.replication_factor)
            if topic.grow_to is not None:
                # Whoever feeds its first partition must see that the others have feeders now.
                _fence_feeders(settings, state, change.name)
        if change.entry is not None:
            done.append(_finish(admin, settings, change.entry))
        progress(change)
    _commit(writer, state, done)
    await_readable(settings, admin, settings.namespace.catalog)


def _fence_feeders(settings: Settings, state: CatalogState, name: str) -> None:
    """End what routers are about to write, when a topic that they know becomes another.

    Else they would go on for some seconds in the new topic, as if it were the old one: a channel
    that is filled again, or a member that is read from its beginning, would have events twice.
    """
    for entry in state.entries.values():
        channel = entry.active
        if not isinstance(channel, ChannelDefinition):
            continue
        if name != channel.name and all(member.event != name for member in channel.members):
            continue
        for partition in range(channel.partitions):
            TransactionalProducer(
                settings,
                settings.namespace.feeder(channel.name, partition),
                f"changing the topic of {name}",
                timeout_ms=_FENCE_TIMEOUT_MS,
                max_bytes=MAX_BATCH_BYTES,
            ).close()


def _commit(writer: LedgerWriter, state: CatalogState, entries: list[Entry]) -> None:
    try:
        writer.commit(dict(state.records(entries)))
    except BrokerTimeoutError as error:
        raise BrokerTimeoutError(
            f"{error}; whether the catalog was written is not known, apply again to find out "
            "and to finish",
            error.kafka_code,
        ) from error


def _change_topic(admin: Admin, change: TopicChange, replication_factor: int) -> None:
    if change.delete:
        admin.delete(change.topic)
    if change.create:
        if not admin.create(change.topic, change.partitions, replication_factor, change.config):
            # Other software was faster.
            admin.configure(change.topic, change.config)
        return
    if change.grow_to is not None:
        admin.grow(change.topic, change.grow_to)
    if change.config:
        admin.configure(change.topic, change.config)


def _finish(admin: Admin, settings: Settings, entry: Entry) -> Entry:
    namespace = settings.namespace
    if entry.wanted is None:
        # The name is free: what comes next under it owes nothing to the schemas before.
        return replace(entry, active=None, schema_ids=(), compared=(), breaking="", retired=False)
    topic = admin.await_topic(namespace.topic(entry.name))
    done = replace(entry, topic_ids=with_latest(entry.topic_ids, topic.topic_id), retired=False)
    if not isinstance(entry.wanted, ChannelDefinition):
        return activate_event(done)
    admin.await_topic(namespace.dead_letters(entry.name))
    members = _read_members(admin, namespace, entry.wanted)
    feeding = make_feeding(
        entry.wanted,
        entry,
        members,
        refill=is_refilled(entry, topic.topic_id),
        survivors={} if entry.feeding else _find_survivors(settings, topic, entry.name, members),
    )
    return replace(done, active=entry.wanted, feeding=feeding)


def _find_survivors(
    settings: Settings, channel: Topic, name: str, members: Mapping[str, MemberTopic]
) -> dict[str, int]:
    """Return the definitions that are committed: the channel's newest, each member's oldest.

    A definition is committed with the positions of all its members. So a member whose definition
    is older than that of the channel partition it feeds had been dropped; and without the latter
    the channel's topic was lost as well, and is filled again.
    """
    namespace = settings.namespace
    events = {namespace.topic(event): event for event in members}
    counts = {topic: len(members[event].ends) for topic, event in events.items()}
    counts[channel.name] = channel.partitions
    places = [(topic, one) for topic, count in counts.items() for one in range(count)]
    committed = read_committed(settings, namespace.positions(name), places)
    found = read_positions(committed, {**events, channel.name: name})
    definitions = {place: position.checkpoint.definition for place, position in found.items()}
    survivors: dict[str, int] = {}
    for place, definition in definitions.items():
        feeds = place.partition if channel.partitions > 1 else 0
        newest = definitions.get(Place(name, feeds))
        if newest is not None and definition >= newest:
            survivors[place.event] = min(survivors.get(place.event, definition), definition)
    if definitions:
        survivors[name] = max(definitions.values())
    return survivors


def _read_members(
    admin: Admin, namespace: Namespace, channel: ChannelDefinition
) -> dict[str, MemberTopic]:
    events = {namespace.topic(member.event): member.event for member in channel.members}
    topics = {name: admin.await_topic(name) for name in events}
    offsets = admin.watermarks({name: topic.partitions for name, topic in topics.items()})
    return {
        event: MemberTopic(
            topics[name].topic_id,
            tuple(first for first, _ in offsets[name]),
            tuple(end for _, end in offsets[name]),
        )
        for name, event in events.items()
    }


def _plan(state: CatalogState, admin: Admin, desired: Definitions, options: PlanOptions) -> Plan:
    wanted = planned_topics(desired, state, options.namespace)
    active = {
        options.namespace.topic(entry.name) for entry in state.entries.values() if entry.active
    }
    topics = _read_topics(admin, wanted, wanted.keys() & active)
    return make_plan(desired, state, topics, options)


def read_catalog(settings: Settings, admin: Admin, *, expected: bool = False) -> CatalogState:
    """Return the catalog as it is now; empty where nothing was ever applied.

    Args:
        settings: which tenant.
        admin: of its cluster.
        expected: whether something was applied.
    """
    state = CatalogState()
    topic = settings.namespace.catalog
    if admin.describe_one(topic, expected=expected) is None:
        return state
    for record in read_range(settings, topic, admin.watermarks({topic: 1})[topic]):
        state.fold(record.key(), record.value(), f"{topic}@{record.offset()}")
    return state


def _read_topics(
    admin: Admin, wanted: Mapping[str, int | None], expected: Iterable[str]
) -> dict[str, TopicFacts | None]:
    """Return what topics are. `wanted` says how long each should keep events, in milliseconds."""
    found: dict[str, TopicFacts | None] = dict.fromkeys(wanted)
    described = admin.describe(wanted, expected=expected)
    topics = {name: topic for name, topic in described.items() if topic is not None}
    configs = admin.configs(topics)
    marks = admin.watermarks({name: topic.partitions for name, topic in topics.items()})
    for name, topic in topics.items():
        kept = wanted[name]
        outdated = 0
        if kept is not None and kept < kept_ms(configs[name]):
            since = admin.offsets_since(name, marks[name], int(time.time() * 1000) - kept)
            outdated = sum(since) - sum(first for first, _ in marks[name])
        found[name] = TopicFacts(
            topic.topic_id,
            topic.partitions,
            topic.replication_factor,
            configs[name],
            events=sum(end - first for first, end in marks[name]),
            outdated=outdated,
        )
    return found
