"""The checker: whether workers have handled what was published, by what their handlers wrote down.

It knows nothing of offsets that were committed, of holes and of letters' states: a handler writes a
line when it begins and when it is through, and from these lines and from what was published the
rest follows.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Published:
    """One event of a stream."""

    event: str
    """Its ID."""
    partition: int
    offset: int
    key: str | None = None
    """Events of one key are handled in the order of their offsets; those without in any."""


@dataclass(frozen=True, slots=True)
class Handling:
    """One attempt of a handler on one event."""

    event: str
    process: str
    """Who: another name for each start of a process."""
    attempt: int = 1
    """The first is 1, after another delivery too."""
    is_complete: bool = True
    """False if the handler raised, or did not live to the end."""
    is_redrive: bool = False


@dataclass(slots=True)
class Findings:
    """What is wrong, in words; nothing if nothing is."""

    missing: list[str] = field(default_factory=list)
    """Events that were neither handled nor dead-lettered, and dead letters that are not there."""
    repeated: list[str] = field(default_factory=list)
    """Processes because of which more was handled again than may be."""
    swapped: list[str] = field(default_factory=list)
    """Events whose first or last handling is before that of an earlier one of their key."""
    foreign: list[str] = field(default_factory=list)
    """Handlings of what was not published, and dead letters that should not be there."""
    checked: int = 0
    """Events that were published."""
    again: int = 0
    """Handlings that came to nothing, since the event was handled again."""

    def assert_none(self) -> None:
        """Fail with counts and the first of each kind."""
        lines = []
        for one in fields(self):
            texts = getattr(self, one.name)
            if isinstance(texts, list) and texts:
                lines.append(f"{len(texts)} {one.name}: " + "; ".join(texts[:5]))
        assert not lines, f"{self.checked} published, {self.again} handled again\n" + (
            "\n".join(lines)
        )


def check(
    published: Iterable[Published],
    handlings: Iterable[Handling],
    *,
    dead_letters: Iterable[str] = (),
    poison: Collection[str] = (),
    killed: Collection[str] = (),
    most_again: int = 0,
) -> Findings:
    """Compare what was handled with what was published.

    Every event has to be handled at least once or be a dead letter; the first handlings and the
    last ones are in the order of their key; at most `most_again` events of each partition are
    handled again because of each process that was killed, and none because of any other; what is
    poison is dead-lettered, once, and nothing else is. Redriven events count as handled, and for
    nothing else: they have no place in the order.

    Args:
        published: all events.
        handlings: in the order in which they began.
        dead_letters: the event IDs of the letters that are there.
        poison: events that handlers fail on for good, and that were not redriven since.
        killed: processes that were, or lost partitions in another way without a commit.
        most_again: events; usually `max_uncommitted`.
    """
    events = {one.event: one for one in published}
    findings = Findings(checked=len(events))
    by_event: dict[str, list[tuple[int, Handling]]] = defaultdict(list)
    complete = set()
    for number, handling in enumerate(handlings):
        if handling.event not in events:
            findings.foreign.append(f"{handling.event} was not published")
            continue
        if handling.is_complete:
            complete.add(handling.event)
        if not handling.is_redrive:
            by_event[handling.event].append((number, handling))
    _check_presence(events, complete, Counter(dead_letters), {*poison}, findings)
    _check_order(events, by_event, findings)
    _check_again(events, by_event, {*killed}, most_again, findings)
    return findings


_Events: TypeAlias = "dict[str, Published]"
_ByEvent: TypeAlias = "dict[str, list[tuple[int, Handling]]]"


def _name(one: Published) -> str:
    return f"{one.event} ({one.key}, {one.partition}-{one.offset})"


def _check_presence(
    events: _Events,
    complete: set[str],
    letters: Counter[str],
    poison: set[str],
    findings: Findings,
) -> None:
    for event, one in events.items():
        if event in poison and not letters[event]:
            findings.missing.append(f"the dead letter of {_name(one)}")
        elif event not in complete and not letters[event]:
            findings.missing.append(_name(one))
    for event, count in letters.items():
        if event not in poison:
            findings.foreign.append(f"a dead letter of {event}")
        elif count > 1:
            findings.foreign.append(f"{count} dead letters of {event}")


def _check_order(events: _Events, by_event: _ByEvent, findings: Findings) -> None:
    lanes: dict[tuple[int, str], list[Published]] = defaultdict(list)
    for one in events.values():
        if one.key is not None and one.event in by_event:
            lanes[one.partition, one.key].append(one)
    for lane in lanes.values():
        lane.sort(key=lambda one: one.offset)
        for place, word in ((0, "first"), (-1, "last")):
            highest, before = -1, lane[0]
            for one in lane:
                number = by_event[one.event][place][0]
                if number < highest:
                    findings.swapped.append(f"{_name(one)} before {_name(before)}, the {word} time")
                else:
                    highest, before = number, one


def _check_again(
    events: _Events, by_event: _ByEvent, killed: set[str], most: int, findings: Findings
) -> None:
    """Count deliveries that were followed by another one of the same event."""
    again: Counter[tuple[str, int]] = Counter()
    for event, all_of_it in by_event.items():
        deliveries = [handling for _, handling in all_of_it if handling.attempt == 1]
        for handling in deliveries[:-1]:
            again[handling.process, events[event].partition] += 1
    findings.again = again.total()
    for (process, partition), count in sorted(again.items()):
        allowed = most if process in killed else 0
        if count > allowed:
            findings.repeated.append(
                f"{count} of {process} in partition {partition}, not {allowed} at most"
            )


class Notebook:
    """A file in which handlers of many processes write what they do; a killed one loses no line.

    Args:
        path: of the file; all processes have the same.
        process: the name of this one.
    """

    def __init__(self, path: Path, process: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._process = process

    def begin(self, event: str, attempt: int = 1, *, is_redrive: bool = False) -> None:
        """Write that the handler has begun on an event."""
        self._write([self._process, event, attempt, is_redrive])

    def complete(self, event: str, attempt: int = 1) -> None:
        """Write that it is through with it."""
        self._write([self._process, event, attempt])

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: list[Any]) -> None:
        # One write: lines of several processes do not mix.
        os.write(self._file, (json.dumps(line) + "\n").encode())


def read_notebook(path: Path) -> list[Handling]:
    """Return what was written into a notebook, in the order in which handlings began."""
    handlings: list[Handling] = []
    begun: dict[tuple[str, str, int], list[int]] = defaultdict(list)
    for text in path.read_text().splitlines():
        process, event, attempt, *more = json.loads(text)
        place = (process, event, attempt)
        if more:
            begun[place].append(len(handlings))
            handlings.append(Handling(event, process, attempt, False, more[0]))
        else:
            number = begun[place].pop()
            handlings[number] = Handling(
                event, process, attempt, is_redrive=handlings[number].is_redrive
            )
    return handlings
