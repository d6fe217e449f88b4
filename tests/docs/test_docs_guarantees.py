"""What the page of guarantees says is tested is tested, and each promise names a test."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT

_NAMED = re.compile(r"`([a-z_/]+\.py)::(test_[a-z0-9_]+)`")


def test_every_promise_names_tests_that_exist() -> None:
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    promises = [
        line for line in page.splitlines() if line.startswith("| ") and "tested by" not in line
    ]
    assert len(promises) > 20
    assert not [line for line in promises if not _NAMED.search(line)]
    missing = [
        f"{path}::{name}"
        for path, name in _NAMED.findall(page)
        if f"def {name}(" not in (ROOT / "tests" / path).read_text(encoding="utf-8")
    ]
    assert not missing
