"""The documentation as data: pages, their fenced blocks, headings, links and tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>```+)(?P<info>.*)")
_HEADING = re.compile(r"(#+) +(.*)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE_SPAN = re.compile(r"`[^`]*`")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    language: str
    """First word of the info string; may be empty."""
    words: tuple[str, ...]
    """The other words, such as `no-test` or `title=schemas/A__e.yaml`."""
    text: str
    line: int
    """Of the first line of the text, 1-based."""

    @property
    def title(self) -> str | None:
        """The file that the block shows."""
        return self._value("title=")

    @property
    def addition(self) -> str | None:
        """The file whose end the block shows, which is there without it."""
        return self._value("append=")

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_exempt(self) -> bool:
        """Whether the block says that it cannot be run by a test."""
        return "no-test" in self.words

    def _value(self, key: str) -> str | None:
        found = (word.removeprefix(key) for word in self.words if word.startswith(key))
        return next(found, None)


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path
    blocks: tuple[Block, ...]
    prose: str
    """Everything outside of fenced blocks."""
    sections: dict[str, str] = field(default_factory=dict)
    """Heading to the text below it, up to the next heading of whatever level."""

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def anchors(self) -> set[str]:
        """The fragments that a link to this page may have, as GitHub makes them of headings."""
        return {_anchor(heading) for heading in self.sections}

    @cached_property
    def links(self) -> list[str]:
        return _LINK.findall(_CODE_SPAN.sub("", self.prose))

    def table(self, heading: str, number: int = 0) -> list[list[str]]:
        """Return the rows, without the head, of a table below a heading."""
        return _tables(self.sections[heading])[number]


def read_page(path: Path) -> Page:
    blocks: list[Block] = []
    prose: list[str] = []
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    opened: re.Match[str] | None = None
    text: list[str] = []
    name = path.relative_to(ROOT).as_posix()
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if opened is not None:
            if fence and fence["ticks"] == opened["ticks"] and not fence["info"].strip():
                language, *words = opened["info"].split() or [""]
                start = number - len(text)
                blocks.append(Block(name, language, tuple(words), _join(text), start))
                opened = None
            else:
                text.append(line)
            continue
        if fence:
            opened, text = fence, []
            continue
        heading = _HEADING.fullmatch(line)
        if heading:
            current = sections.setdefault(heading[2], [])
        prose.append(line)
        current.append(line)
    assert opened is None, f"{name}: a fenced block has no end"
    return Page(path, tuple(blocks), _join(prose), {k: _join(v) for k, v in sections.items()})


def all_pages() -> list[Page]:
    """Return the README and everything below docs/."""
    return [read_page(path) for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]]


def page(name: str) -> Page:
    """Return a page by its path from the repository's root."""
    return read_page(ROOT / name)


def names_in(cell: str) -> list[str]:
    """Return the code spans of a table's cell."""
    return [span[1:-1].replace("\\|", "|") for span in _CODE_SPAN.findall(cell)]


def first_column(name: str, heading: str, number: int = 0) -> list[str]:
    """Return the code spans in the first column of a page's table."""
    return [found for row in page(name).table(heading, number) for found in names_in(row[0])]


def _join(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _tables(text: str) -> list[list[list[str]]]:
    tables: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in _CELL.split(line)[1:-1]]
        if not inside:
            tables.append([])
            inside = True
        elif not all(set(cell) <= {"-", ":"} for cell in cells):
            tables[-1].append(cells)
    return tables
