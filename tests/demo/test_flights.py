"""Rows of flights as events: which, when, and in which order."""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.demo.airports import utc_offset
from platform_events.demo.channels import BLIZZARD, LONG_DELAYS
from platform_events.demo.flights import (
    ARRIVED,
    CANCELLED,
    DEPARTED,
    SCHEMAS,
    WEEK,
    flight_events,
    read_flights,
)
from platform_events.errors import UsageError
from platform_events.files.loader import load_definitions
from platform_events.payloads.codec import PayloadEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOL = Path(__file__).parents[2] / "tools/make_excerpt.py"
COLUMNS = (
    *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time"),
    *("sched_arr_time", "arr_delay", "carrier", "flight", "tailnum", "origin", "dest"),
    *("air_time", "distance", "hour", "minute", "time_hour"),
)
TO_HOUSTON = (
    "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z"
)


def row(line: str = TO_HOUSTON, **changes: str) -> dict[str, str]:
    return dict(zip(COLUMNS, line.split(","), strict=True)) | changes


def day(number: int, month: int = 1) -> dict[str, str]:
    return row(
        month=str(month), day=str(number), time_hour=f"2013-{month:02}-{number:02}T10:00:00Z"
    )


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_a_flight_that_arrived() -> None:
    departed, arrived = flight_events([row()])
    common = {
        "flight": "UA1545",
        "flight_date": date(2013, 1, 1),
        "tail_number": "N14228",
        "origin": "EWR",
        "destination": "IAH",
    }
    assert departed == (
        DEPARTED,
        datetime(2013, 1, 1, 10, 17, tzinfo=UTC),
        common
        | {
            "scheduled_departure": datetime(2013, 1, 1, 10, 15, tzinfo=UTC),
            "departed_at": datetime(2013, 1, 1, 10, 17, tzinfo=UTC),
            "delay_minutes": 2,
            "distance_miles": 1400,
        },
    )
    # 8:30 in Houston.
    landing = datetime(2013, 1, 1, 14, 30, tzinfo=UTC)
    assert arrived == (
        ARRIVED,
        landing,
        common | {"arrived_at": landing, "delay_minutes": 11, "air_minutes": 227},
    )


def test_a_cancelled_flight_is_at_its_schedule() -> None:
    missing = dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"), "")
    (cancelled,) = flight_events([row(**missing, tailnum="NA")])
    assert cancelled.event == CANCELLED
    assert cancelled.time == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert cancelled.payload["scheduled_departure"] == cancelled.time
    assert cancelled.payload["tail_number"] is None


def test_a_diverted_flight_that_came_to_its_destination_has_neither_delay_nor_air_time() -> None:
    _, arrived = flight_events([row(arr_delay="", air_time="")])
    assert arrived.payload["delay_minutes"] is None
    assert arrived.payload["air_minutes"] is None


def test_a_flight_that_ended_elsewhere_only_departed() -> None:
    events = flight_events([row(arr_time="", arr_delay="", air_time="")])
    assert [event.event for event in events] == [DEPARTED]


@pytest.mark.parametrize(
    ("destination", "summer", "utc"),
    [
        ("BOS", False, 13), ("BOS", True, 12),
        ("SJU", False, 12), ("SJU", True, 12),
        ("DEN", False, 15), ("DEN", True, 14),
        ("PHX", False, 15), ("PHX", True, 15),
        ("SFO", False, 16), ("SFO", True, 15),
        ("ANC", False, 17), ("ANC", True, 16),
        ("HNL", False, 18), ("HNL", True, 18),
    ],
)  # fmt: skip
def test_eight_in_the_morning_at_the_destination(destination: str, summer: bool, utc: int) -> None:
    changes = {"month": "7", "time_hour": "2013-07-01T09:00:00Z"} if summer else {}
    arrived = list(flight_events([row(dest=destination, arr_time="800", **changes)]))[1]
    assert arrived.time.hour == utc


def test_an_unknown_airport_is_refused() -> None:
    with pytest.raises(UsageError, match="airport LHR"):
        list(flight_events([row(dest="LHR")]))


@given(
    scheduled=st.integers(0, 23 * 60),
    delay=st.integers(-60, 1500),
    clock=st.tuples(st.integers(0, 23), st.integers(0, 59)) | st.just((24, 0)),
    destination=st.sampled_from(["BOS", "ORD", "PHX", "SJU", "HNL"]),
    summer=st.booleans(),
)
def test_an_arrival_is_the_first_time_after_departure_at_which_the_clock_showed_it(
    scheduled: int, delay: int, clock: tuple[int, int], destination: str, summer: bool
) -> None:
    local = datetime(2013, 7 if summer else 1, 15, tzinfo=UTC) + timedelta(minutes=scheduled)
    hour = local.replace(minute=0) - utc_offset("JFK", summer=summer)
    departed, arrived = flight_events(
        [
            row(
                month=str(local.month),
                day="15",
                hour=str(local.hour),
                minute=str(local.minute),
                time_hour=hour.isoformat(),
                dep_delay=str(delay),
                dest=destination,
                arr_time=f"{clock[0] * 100 + clock[1]}",
            )
        ]
    )
    assert departed.time == hour + timedelta(minutes=local.minute + delay)
    assert timedelta(0) <= arrived.time - departed.time < timedelta(days=1)
    there = arrived.time + utc_offset(destination, summer=summer)
    assert (there.hour, there.minute) == (clock[0] % 24, clock[1])


def test_the_week_is_complete_and_in_order_of_time() -> None:
    events = list(flight_events(read_flights(WEEK)))
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(WEEK.read_bytes()).decode())))
    assert Counter(event.event for event in events) == {
        DEPARTED: sum(bool(row["dep_time"]) for row in rows),
        ARRIVED: sum(bool(row["arr_time"]) for row in rows),
        CANCELLED: sum(not row["dep_time"] for row in rows),
    }
    assert all(earlier.time <= later.time for earlier, later in pairwise(events))


def test_no_flight_of_the_week_arrives_before_it_departed() -> None:
    flying: set[tuple[object, ...]] = set()
    for event in flight_events(read_flights(WEEK)):
        key = tuple(event.payload[name] for name in ("flight", "flight_date", "destination"))
        if event.event == DEPARTED:
            assert key not in flying
            flying.add(key)
        elif event.event == ARRIVED:
            flying.remove(key)


def test_arrivals_of_the_week_agree_with_the_schedule() -> None:
    scheduled = {
        (row["carrier"] + row["flight"], row["day"], row["dest"]): int(row["sched_arr_time"])
        for row in read_flights(WEEK)
    }
    checked = 0
    for event in flight_events(read_flights(WEEK)):
        payload = event.payload
        if event.event == ARRIVED and payload["delay_minutes"] is not None:
            planned = event.time - timedelta(minutes=payload["delay_minutes"])
            there = planned + utc_offset(payload["destination"], summer=False)
            key = (payload["flight"], str(payload["flight_date"].day), payload["destination"])
            assert there.hour * 100 + there.minute == scheduled[key] % 2400
            checked += 1
    assert checked > 5_000


def test_every_payload_of_the_week_fits_its_definition() -> None:
    events = load_definitions(SCHEMAS).events
    encoders = {name: PayloadEncoder(each.schema.parsed) for name, each in events.items()}
    system = {"CreatedDate": 0, "CreatedById": "test"}
    for event in flight_events(read_flights(WEEK)):
        assert encoders[event.event].encode(event.payload | system)


def test_the_definitions_document_every_field() -> None:
    definitions = load_definitions(SCHEMAS)
    assert set(definitions.events) == {DEPARTED, ARRIVED, CANCELLED}
    assert set(definitions.channels) == {LONG_DELAYS, BLIZZARD}
    assert all(channel.description for channel in definitions.channels.values())
    for definition in definitions.events.values():
        assert definition.description
        fields = definition.schema.parsed["fields"]
        assert all(field.get("doc") for field in fields if field["name"][0].islower())


@pytest.mark.parametrize("name", ["flights.csv", "flights.csv.gz"])
def test_parts_that_are_each_in_order_of_day_are_merged(tmp_path: Path, name: str) -> None:
    days = [(1, 1), (1, 2), (10, 1), (11, 5), (2, 3), (2, 3), (9, 9), (3, 1)]
    path = write(tmp_path / name, [day(number, month) for month, number in days])
    read = [(int(row["month"]), int(row["day"])) for row in read_flights(path)]
    assert read == sorted(days)


def test_a_file_in_no_order_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "flights.csv", [day(1 + number % 2) for number in range(200)])
    with pytest.raises(UsageError, match=r"flights\.csv is not in order of day"):
        read_flights(path)


def test_rows_of_an_earlier_day_are_refused() -> None:
    with pytest.raises(UsageError, match="2013-01-02 come after"):
        list(flight_events([day(1), day(4), day(2)]))


def test_events_come_out_while_rows_are_read() -> None:
    taken = 0

    def rows() -> Iterator[dict[str, str]]:
        nonlocal taken
        for number in range(1, 29):
            taken += 1
            yield day(number)

    next(flight_events(rows()))
    assert taken == 2


def test_the_excerpt_is_what_its_tool_makes(tmp_path: Path) -> None:
    source = write(tmp_path / "more.csv.gz", [day(1), *read_flights(WEEK), day(1, month=3)])
    target = tmp_path / "made.csv.gz"
    subprocess.run([sys.executable, TOOL, source, "--output", target], check=True)
    assert gzip.decompress(target.read_bytes()) == gzip.decompress(WEEK.read_bytes())
    assert int.from_bytes(target.read_bytes()[4:8], "little") == 0, "the header has a time"
