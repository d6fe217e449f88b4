"""Links between pages, to headings and to source files lead somewhere; no page is an orphan."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT, Page, all_pages, read_page

PAGES = all_pages()
INDEX = ROOT / "docs" / "README.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_exist(page: Page) -> None:
    for link in page.links:
        if re.match(r"[a-z]+:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if fragment:
            assert target.suffix == ".md", link
            assert fragment in read_page(target).anchors, link


def test_nothing_is_left_to_be_filled_in() -> None:
    assert not [page.name for page in PAGES if "TODO" in page.path.read_text(encoding="utf-8")]


def test_there_are_links_to_check() -> None:
    assert sum(len(page.links) for page in PAGES) > 60


def test_the_index_has_every_page() -> None:
    linked = {(INDEX.parent / link.partition("#")[0]).resolve() for link in read_page(INDEX).links}
    missing = [page.name for page in PAGES if page.path not in {*linked, INDEX}]
    assert not missing


def test_the_index_has_each_page_once_under_one_of_four_headings() -> None:
    index = read_page(INDEX)
    kinds = list(index.sections)[1:]
    assert kinds == ["Tutorial", "How-to", "Reference", "Explanation"]
    entries = [
        re.fullmatch(r"- \[[^]]+\]\(([^)]+)\): .+", line)
        for kind in kinds
        for line in index.sections[kind].splitlines()
        if line and not line.startswith("#")
    ]
    assert all(entries), "each line is a page and what it is"
    targets = [(INDEX.parent / entry[1]).resolve() for entry in entries if entry]
    assert sorted(targets) == sorted(page.path for page in PAGES if page.path != INDEX)


def test_headings_are_unique_within_a_page() -> None:
    for page in PAGES:
        headings = re.findall(r"^#+ +(.*)", page.prose, re.MULTILINE)
        assert len(headings) == len(set(headings)), page.name


def test_file_names_in_prose_that_look_like_sources_exist() -> None:
    for page in PAGES:
        for path in re.findall(r"`((?:src|tests|tools|benchmarks)/[\w./-]+)`", page.prose):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
