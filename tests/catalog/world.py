"""A catalog with an event, a channel and their topics, as plans see it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from platform_events.catalog.plan import (
    Change,
    Plan,
    PlanOptions,
    TopicFacts,
    make_plan,
    topic_config,
)
from platform_events.catalog.state import CatalogState, Entry, Feed, Feeding
from platform_events.definitions.model import Definitions
from platform_events.names import Namespace
from tests.support import ORDER as PLAIN_ORDER

ORDER_NAME = "Order_Placed__e"
READING_NAME = "Reading_Taken__e"
CHANNEL_NAME = "Sales__chn"
CHANNEL = """
channel: Sales__chn
members:
  - event: Order_Placed__e
    filter: amount >= 100
"""


BOTH = CHANNEL + "  - event: Reading_Taken__e\n"
ORDER = PLAIN_ORDER.replace("double, default: 0.0", "double, optional: true")
"""Its amount may go, as far as readers are concerned."""
WITHOUT_AMOUNT = ORDER.replace("  - {name: amount, type: double, optional: true}\n", "")
NAMES = Namespace()
OWN = NAMES.topic(CHANNEL_NAME)
DEAD = NAMES.dead_letters(CHANNEL_NAME)
OPTIONS = PlanOptions(max_message_bytes=1_000, max_channel_message_bytes=1_500)
PRUNING = replace(OPTIONS, prune=True)
GROWING = replace(OPTIONS, allow_growth=True)


@dataclass
class World:
    """A catalog and its topics in which definitions were applied."""

    state: CatalogState = field(default_factory=CatalogState)
    topics: dict[str, TopicFacts | None] = field(default_factory=dict)

    def plan(self, desired: Definitions, options: PlanOptions = OPTIONS) -> Plan:
        return make_plan(desired, self.state, self.topics, options)

    def change(self, entry: str, **parts: Any) -> None:
        self.state.entries[entry] = replace(self.state.entries[entry], **parts)

    def change_topic(self, topic: str, **parts: Any) -> None:
        facts = self.topics[topic]
        assert facts is not None
        self.topics[topic] = replace(facts, **parts)


def applied(definitions: Definitions) -> World:
    world = World()
    for event in definitions.events.values():
        world.state.schemas[event.schema.id] = event.schema
        world.state.entries[event.name] = Entry(
            event.name, definitions.project, event, event, (event.schema.id,), (f"id-{event.name}",)
        )
        facts = TopicFacts(f"id-{event.name}", event.partitions, 1, topic_config(event, OPTIONS))
        world.topics[NAMES.topic(event.name)] = facts
    for channel in definitions.channels.values():
        feeds = [Feed(one.event, one.filter, 3, f"id-{one.event}", (7,)) for one in channel.members]
        world.state.entries[channel.name] = Entry(
            channel.name, definitions.project, channel, channel, (), (f"id-{channel.name}",),
            Feeding(3, tuple(feeds)),
        )  # fmt: skip
        config = topic_config(channel, OPTIONS)
        world.topics[NAMES.topic(channel.name)] = TopicFacts(
            f"id-{channel.name}", channel.partitions, 1, config
        )
        world.topics[NAMES.dead_letters(channel.name)] = TopicFacts("dead", 1, 1, config)
    return world


def change_of(plan: Plan, name: str = CHANNEL_NAME) -> Change:
    (found,) = [change for change in plan.changes if change.name == name]
    return found


def with_channel(definitions: Definitions, **parts: Any) -> Definitions:
    channel = replace(definitions.channels[CHANNEL_NAME], **parts)
    return replace(definitions, channels={CHANNEL_NAME: channel})


def with_event(definitions: Definitions, name: str, **parts: Any) -> Definitions:
    event = replace(definitions.events[name], **parts)
    return replace(definitions, events={**definitions.events, name: event})


def without_channel(definitions: Definitions) -> Definitions:
    return replace(definitions, channels={})
