"""Configuration of other software that the recipes show runs what the recipes run."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML

from tests.docs.pages import ROOT, Page, read_page

PAGE = ROOT / "docs" / "recipes.md"


def test_what_a_pull_request_and_a_commit_run_is_run_on_the_page() -> None:
    page = read_page(PAGE)
    workflow = parsed(page, ".github/workflows/events.yaml")
    steps = [step["run"] for step in workflow["jobs"]["check"]["steps"] if "run" in step]
    (hook,) = parsed(page, ".pre-commit-config.yaml")["repos"][0]["hooks"]
    ours = [run for run in [*steps, hook["entry"]] if run.startswith("platform-events ")]
    ran = [
        line for block in page.blocks if block.language == "sh" for line in block.text.splitlines()
    ]
    assert len(ours) == 2
    assert set(ours) <= set(ran)


def parsed(page: Page, title: str) -> Any:
    (block,) = [block for block in page.blocks if block.title == title]
    return YAML(typ="safe").load(block.text)
