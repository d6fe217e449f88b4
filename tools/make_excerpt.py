"""Make `src/platform_events/demo/flights.csv.gz`, the week of flights that the demo publishes.

    python tools/make_excerpt.py flights.csv.gz

The argument is the table `flights` of the R package nycflights13 as CSV, plain or gzip. Lines are
copied as they are; the same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from datetime import date
from pathlib import Path

FIRST_DAY = date(2013, 2, 5)
LAST_DAY = date(2013, 2, 11)
"""A blizzard closed the airports on 8 and 9 February: 865 of these days' flights were cancelled."""
TARGET = Path(__file__).parents[1] / "src/platform_events/demo/flights.csv.gz"


def select_lines(path: Path) -> list[str]:
    """Return the header and the lines of the flights of these days, in order of day."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        header, *lines = file.read().splitlines()
    chosen: list[tuple[date, str]] = []
    for line, row in zip(lines, csv.DictReader([header, *lines]), strict=True):
        day = date(int(row["year"]), int(row["month"]), int(row["day"]))
        if FIRST_DAY <= day <= LAST_DAY:
            chosen.append((day, line))
    chosen.sort(key=lambda item: item[0])
    return [header, *(line for _, line in chosen)]


def main() -> None:
    """Write the excerpt."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("flights", type=Path, help="all flights of 2013")
    parser.add_argument("--output", type=Path, default=TARGET, help="default: where it belongs")
    arguments = parser.parse_args()
    text = "\n".join(select_lines(arguments.flights)) + "\n"
    # Without a time in the header, the same input gives the same file.
    arguments.output.write_bytes(gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
