"""How the tour speaks: chapters, sentences, tables, and claims that hold or do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.progress import track
from rich.table import Table
from rich.text import Text

from platform_events.errors import PlatformEventsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import RenderableType

_Item = TypeVar("_Item")
_PLAIN_WIDTH = 100
_INDENT = 3

NEXT = """\
Next, with the package in an environment of your own (README says how), in a directory of your own:
  platform-events init      # an example: schemas/ with an event and a channel
  platform-events up        # Kafka with both, until Ctrl-C
and meanwhile in another terminal:
  echo '{"order_id": "A-1", "amount": 250}' | platform-events publish Order_Placed__e
  platform-events subscribe Large_Orders__chn --from earliest --max 1
  platform-events streams"""


class BrokenClaimError(PlatformEventsError):
    """The tour saw something else than what it says."""

    code = "BROKEN_CLAIM"


class Narrator:
    """Writes the tour as text that is readable without colours, and counts its claims."""

    def __init__(self, write: Callable[[str], None], *, styled: bool, progress: bool) -> None:
        """Speak to `write`, line by line.

        Args:
            write: takes one line or several, without the last line break.
            styled: whether it is a terminal, which gets its width and colours.
            progress: whether stderr is one, which gets progress bars.
        """
        self._write = write
        self._progress = progress
        self._console = Console(
            force_terminal=styled,
            width=None if styled else _PLAIN_WIDTH,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._chapters = 0
        self._claims = 0
        self.broken: list[str] = []
        """The claims that did not hold."""

    def begin_chapter(self, title: str) -> None:
        """Write the heading of what comes next."""
        self._chapters += 1
        before = "\n" if self._chapters > 1 else ""
        self._print(Text(f"{before}{self._chapters}. {title}", style="bold"))

    def say(self, text: str) -> None:
        """Write a sentence."""
        self._print(_indented(Text(text)))

    def show_table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Write a table; all columns but the first are numbers."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index else "left")
        for row in rows:
            table.add_row(*row)
        self._print(_indented(table))

    def claim(self, holds: bool, text: str) -> None:
        """Write what was checked and whether it holds."""
        self._claims += 1
        if not holds:
            self.broken.append(text)
        verdict = Text("ok  ", style="green") if holds else Text("FAILED  ", style="bold red")
        self._print(_indented(verdict + Text(text)))

    def follow(self, items: Iterable[_Item], total: int, doing: str) -> Iterable[_Item]:
        """Return `items`, with a bar on stderr that moves as they are taken."""
        return track(
            items,
            doing,
            total,
            console=Console(stderr=True),
            transient=True,
            disable=not self._progress,
        )

    def finish(self, seconds: float) -> None:
        """Write the verdict and what to do next.

        Raises:
            BrokenClaimError: a claim did not hold.
        """
        if self.broken:
            raise BrokenClaimError(
                f"{len(self.broken)} of {self._claims} claims did not hold: {self.broken[0]}"
            )
        verdict = f"All {self._claims} claims hold. It took {seconds:.1f} s."
        self._print(Text(f"\n{verdict}", style="bold"))
        self._print(Text(f"\n{NEXT}"))

    def _print(self, renderable: RenderableType) -> None:
        with self._console.capture() as captured:
            self._console.print(renderable)
        lines = captured.get().splitlines()
        self._write("\n".join(line.rstrip() for line in lines))


def _indented(renderable: RenderableType) -> Padding:
    return Padding(renderable, (0, 0, 0, _INDENT), expand=False)
