"""The names of all rivals, in the order in which they take their turns."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from benchmarks.rivals.base import Consume, Publish

Direction = Literal["publish", "consume", "batches"]
"""`batches` is consuming them."""
DIRECTIONS: tuple[Direction, ...] = ("publish", "consume")
"""What a case is raced in unless it says otherwise."""
VERBS: dict[Direction, str] = {
    "publish": "Publish",
    "consume": "Consume",
    "batches": "Consume in batches",
}


@dataclass(frozen=True, slots=True)
class Rival:
    """One row of the race."""

    name: str
    """Short name, as on the command line and in the results."""
    label: str
    """What tables call it."""
    module: str
    """Module under `benchmarks.rivals`, imported in the measuring process only."""
    publish: str | None = "publish"
    """Its publishing function; None: it only consumes."""
    consume: str = "consume"
    """Its consuming function."""
    batches: str | None = None
    """Its function that consumes in batches; None: it has no such form."""
    share: float = 1.0
    """Part of a race's events that it gets, so that a slow one does not take all the time."""

    def takes(self, direction: Direction) -> bool:
        """Whether the rival runs in that direction."""
        return getattr(self, direction) is not None

    def publisher(self) -> Publish:
        """Import and return the publishing function."""
        assert self.publish is not None
        return cast("Publish", getattr(self._imported(), self.publish))

    def consumer(self, direction: Direction) -> Consume:
        """Import and return the function that consumes event by event, or in batches."""
        return cast("Consume", getattr(self._imported(), getattr(self, direction)))

    def _imported(self) -> object:
        return import_module(f"benchmarks.rivals.{self.module}")


RIVALS = {
    rival.name: rival
    for rival in (
        Rival("sdk", "platform-events", "sdk", batches="consume_batches"),
        Rival("bare", "confluent-kafka + fastavro, by hand", "bare", batches="consume_batches"),
        Rival("registry", "confluent-kafka's serializers", "registry", share=0.5),
        Rival(
            "registry-batches",
            "confluent-kafka's deserializer on batches",
            "registry",
            publish=None,
            consume="consume_batches",
            batches="consume_batches",
            share=0.5,
        ),
        Rival("faststream", "FastStream", "faststream", share=0.1),
        Rival(
            "faststream-batches",
            "FastStream, batch handler",
            "faststream",
            publish=None,
            consume="consume_batches",
            batches="consume_batches",
        ),
        Rival("aiokafka", "aiokafka + fastavro", "aiokafka", batches="consume"),
    )
}
