"""Pictures of the documentation are shown, and the overview can be read by everybody."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.docs.pages import ROOT, all_pages

PICTURES = sorted(ROOT.glob("docs/**/*.svg"))
OVERVIEW = ROOT / "docs" / "overview.svg"
_SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_each_is_well_formed_and_shown_with_words_for_who_cannot_see_it(picture: Path) -> None:
    assert ElementTree.parse(picture).getroot().tag == f"{_SVG}svg"
    shown = {
        (page.path.parent / path).resolve(): words
        for page in all_pages()
        for words, path in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.prose)
    }
    assert len(shown[picture].split()) >= 3


def test_the_overview_says_what_it_shows_and_loads_nothing() -> None:
    root = ElementTree.parse(OVERVIEW).getroot()
    parts = {tag: root.find(f"{_SVG}{tag}") for tag in ("title", "desc")}
    assert root.get("aria-labelledby") == " ".join(part.get("id") for part in parts.values())
    assert all(len(part.text.split()) > 3 for part in parts.values())
    text = OVERVIEW.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|@import|@font-face|<script|<image|data:", text)
    assert "prefers-color-scheme: dark" in text
    shown = {text.text for text in root.iter(f"{_SVG}text")}
    assert {"Producers", "Apache Kafka", "Router", "Consumers", "Definitions in Git"} <= shown
