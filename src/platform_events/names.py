"""How events, channels and tenants are named, and what they are called in Kafka."""

from __future__ import annotations

import re
from dataclasses import dataclass

from platform_events.errors import ConfigurationError, UsageError
from platform_events.wording import shown

_SPACE = re.compile(r"[a-z0-9-]+")
_BASE = r"[A-Za-z](?:_?[A-Za-z0-9])*"
EVENT_NAME = re.compile(rf"{_BASE}__e")
CHANNEL_NAME = re.compile(rf"{_BASE}__chn")
SUBSCRIPTION_NAME = re.compile(r"[a-z0-9-]+")
MAX_SUBSCRIPTION_LENGTH = 64
"""Characters of a subscription's name; its journal is named after it."""
MAX_NAME_LENGTH = 80
"""Characters of an event or channel name; leaves room for prefix and tenant in Kafka's 249."""

NAME_RULE = (
    "letters, digits and single underscores, beginning with a letter, then __e for an event or "
    f"__chn for a channel, at most {MAX_NAME_LENGTH} characters, such as Order_Placed__e"
)
_STREAM_PREFIX = "/event/"


def is_event_name(name: str) -> bool:
    """Whether `name` may name an event definition."""
    return len(name) <= MAX_NAME_LENGTH and EVENT_NAME.fullmatch(name) is not None


def is_channel_name(name: str) -> bool:
    """Whether `name` may name a custom channel."""
    return len(name) <= MAX_NAME_LENGTH and CHANNEL_NAME.fullmatch(name) is not None


def stream_name(stream: str) -> str:
    """Return the bare name of a stream given as `/event/Name` or `Name`.

    Raises:
        UsageError: it is neither an event's nor a channel's name.
    """
    name = stream.removeprefix(_STREAM_PREFIX)
    if not (is_event_name(name) or is_channel_name(name)):
        meant = [f"{name}{end}" for end in ("__e", "__chn") if _could_be(f"{name}{end}")]
        guess = f"; did you mean {' or '.join(meant)}?" if meant else f": {NAME_RULE}"
        raise UsageError(f"{stream!r} does not name a stream{guess}")
    return name


def _could_be(name: str) -> bool:
    return is_event_name(name) or is_channel_name(name)


def check_subscription(name: str) -> str:
    """Return the name if it may name a subscription.

    Raises:
        UsageError: it may not.
    """
    if len(name) > MAX_SUBSCRIPTION_LENGTH or not SUBSCRIPTION_NAME.fullmatch(name):
        raise UsageError(
            f"{shown(name)} cannot name a subscription: use a-z, 0-9 and -, at most "
            f"{MAX_SUBSCRIPTION_LENGTH} characters, such as billing"
        )
    return name


def stream_path(name: str) -> str:
    """Return `/event/Name`, the form in which streams are shown."""
    return _STREAM_PREFIX + name


@dataclass(frozen=True, slots=True)
class Namespace:
    """The Kafka names of one tenant: topics, groups and transactional ids share one prefix.

    Raises:
        ConfigurationError: prefix or tenant has other characters than `a-z`, `0-9`, `-`.
            Kafka refuses topics that differ only in `.` and `_`, so neither may appear here.
    """

    prefix: str = "platform-events"
    tenant: str = "default"

    def __post_init__(self) -> None:
        for label, value in (("prefix", self.prefix), ("tenant", self.tenant)):
            if not _SPACE.fullmatch(value) or len(value) > MAX_NAME_LENGTH:
                raise ConfigurationError(
                    f"{label} {shown(value)} is not allowed: use a-z, 0-9 and -, at most "
                    f"{MAX_NAME_LENGTH} characters (PLATFORM_EVENTS_{label.upper()})"
                )

    def topic(self, name: str) -> str:
        """Return the topic of an event or channel."""
        return f"{self.prefix}.{self.tenant}.{name}"

    def dead_letters(self, channel: str) -> str:
        """Return the topic of a channel's member events that cannot be decoded or written."""
        return self.topic(channel) + ".dlq"

    def topics(self, name: str) -> tuple[str, ...]:
        """Return all topics of an event or channel, its own first."""
        own = self.topic(name)
        return (own, self.dead_letters(name)) if is_channel_name(name) else (own,)

    def feeder(self, channel: str, partition: int) -> str:
        """Return the transactional ID by which only one process feeds a channel's partition."""
        return f"{self.topic(channel)}.{partition}"

    def positions(self, channel: str) -> str:
        """Return the group in which a channel's positions in its members are kept."""
        return self.topic(channel) + ".positions"

    def worker(self, subscription: str) -> str:
        """Return the group in which workers of a subscription share its stream."""
        return self.topic(f"worker.{subscription}")

    def journal(self, subscription: str) -> str:
        """Return the topic of what a subscription has to remember beside its position."""
        return self.worker(subscription) + ".journal"

    def subscription_of(self, journal: str) -> str | None:
        """Return whose journal a topic is; None if it is none of this tenant's."""
        before, after = self.topic("worker."), ".journal"
        if not (journal.startswith(before) and journal.endswith(after)):
            return None
        name = journal[len(before) : -len(after)]
        return name if SUBSCRIPTION_NAME.fullmatch(name) else None

    @property
    def routers(self) -> str:
        """The group in which routers share the channels."""
        return self.topic("router")

    @property
    def catalog(self) -> str:
        """The catalog's topic, and the transactional id of its writers."""
        return self.topic("catalog")
