"""What a router says about a channel partition that it leads, for others to read."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["taking over", "catching up", "live", "fenced", "broken"]
Key: TypeAlias = "tuple[str, int]"
"""A channel's topic and a partition of it."""
_LONGEST_DETAIL = 1_000
"""Bytes; Kafka keeps 4,096 with an offset, and quoting may double them."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far catching up is."""

    done: int
    """Records that are judged."""
    total: int
    """Records that there were to judge; those that arrive meanwhile are added."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """How feeding goes. It is kept in Kafka with an offset of the routers' group."""

    router: str
    """Name of the process that says so."""
    state: State
    since_ms: int
    """When it became so, ms since the epoch."""
    detail: str = ""
    """What is wrong, if it is broken."""

    def to_text(self) -> str:
        """Return it as metadata of an offset."""
        cut = self.detail.encode(errors="replace")[:_LONGEST_DETAIL].decode(errors="ignore")
        document = asdict(self) | {"detail": cut}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> FeedState | None:
        """Read what `to_text` wrote; None for anything else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None


class Claim:
    """A statement on its way to Kafka, where only the process that leads may make it."""

    def __init__(self, state: FeedState) -> None:
        self.state = state
        self._settled = threading.Event()
        self._is_ours = False

    def settle(self, *, is_ours: bool) -> None:
        """Say whether this process leads the channel partition."""
        self._is_ours = is_ours
        self._settled.set()

    def wait(self, timeout: float) -> bool | None:
        """Return whether this process leads; None if that is not known in time (seconds)."""
        return self._is_ours if self._settled.wait(timeout) else None


class Statements:
    """What is to be said about channel partitions. Feeders put in, the router takes out.

    Only the newest of each partition counts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Key, Claim] = {}
        self._last: dict[Key, FeedState] = {}

    def put(self, key: Key, state: FeedState) -> Claim:
        """Add a statement. What was said last is not said again, unless it is `taking over`."""
        claim = Claim(state)
        with self._lock:
            last = self._last.get(key)
            is_known = last is not None and (last.state, last.detail) == (state.state, state.detail)
            if is_known and key not in self._waiting and state.state != "taking over":
                claim.settle(is_ours=True)
            else:
                former = self._waiting.get(key)
                self._waiting[key] = claim
                if former is not None:
                    former.settle(is_ours=False)
        return claim

    def take(self) -> dict[Key, Claim]:
        """Return what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            for key in waiting:
                # Whatever was said before does not hold any more once this is under way.
                self._last.pop(key, None)
        return waiting

    def give_back(self, claims: dict[Key, Claim]) -> None:
        """Let claims that could not be made wait, unless there are newer ones."""
        with self._lock:
            for key, claim in claims.items():
                if key in self._waiting:
                    claim.settle(is_ours=False)
                else:
                    self._waiting[key] = claim

    def settle(self, key: Key, claim: Claim, *, is_ours: bool) -> None:
        """Note the outcome of a claim."""
        with self._lock:
            if is_ours:
                self._last[key] = claim.state
        claim.settle(is_ours=is_ours)

    def forget(self, key: Key) -> None:
        """Drop what was said and what waits: the partition is another's now."""
        with self._lock:
            self._last.pop(key, None)
            claim = self._waiting.pop(key, None)
        if claim is not None:
            claim.settle(is_ours=False)
