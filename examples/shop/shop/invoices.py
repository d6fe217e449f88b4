"""Invoices of orders: a subscriber that keeps its position with what it makes of the events."""

import sqlite3
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from platform_events import EventBus, ReplayExpiredError, Start

STREAM = "/event/Order_Placed__e"
_TABLES = """
CREATE TABLE IF NOT EXISTS invoices (order_id TEXT PRIMARY KEY, amount REAL NOT NULL);
CREATE TABLE IF NOT EXISTS positions (stream TEXT PRIMARY KEY, replay_id TEXT NOT NULL);
"""


class Invoices:
    """Invoices in an SQLite file, for the length of a `with`."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path)
        self._database.executescript(_TABLES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()

    def order_ids(self) -> list[str]:
        """Return the orders that have an invoice, in the order in which they got it."""
        rows = self._database.execute("SELECT order_id FROM invoices ORDER BY rowid")
        return [order_id for (order_id,) in rows]

    def make(self, bus: EventBus, *, follow: bool = True, skip_expired: bool = False) -> None:
        """Make an invoice of each order after the last position.

        Args:
            bus: where orders are published.
            follow: wait for new ones; otherwise stop at the end.
            skip_expired: go on although orders expired before they were read.

        Raises:
            ReplayExpiredError: some did, and they have no invoice.
        """
        on_expired = "earliest" if skip_expired else "fail"
        start = self._position() or Start.EARLIEST
        with bus.subscribe(STREAM, start, follow, on_expired=on_expired) as events:
            for event in events:
                order = event.payload
                # The invoice and the position, or neither: so a crash repeats and loses nothing.
                with self._database:
                    self._database.execute(
                        "INSERT OR IGNORE INTO invoices VALUES (?, ?)",
                        (order["order_id"], order["amount"]),
                    )
                    self._database.execute(
                        "INSERT OR REPLACE INTO positions VALUES (?, ?)",
                        (STREAM, str(event.replay_id)),
                    )

    def _position(self) -> str | None:
        row = self._database.execute(
            "SELECT replay_id FROM positions WHERE stream = ?", (STREAM,)
        ).fetchone()
        return row[0] if row else None


def main() -> None:
    """Make invoices until Ctrl-C."""
    with Invoices(Path(sys.argv[1])) as invoices, EventBus() as bus:
        try:
            invoices.make(bus)
        except ReplayExpiredError as error:
            sys.exit(f"orders expired before they got an invoice: {error}")
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
