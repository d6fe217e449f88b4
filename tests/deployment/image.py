"""The Dockerfile as data."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from tests.docs.pages import ROOT


def read_instructions(path: Path = ROOT / "Dockerfile") -> list[tuple[str, str]]:
    """Return the instructions of the last stage."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    instructions = [
        (name, rest) for name, _, rest in (line.partition(" ") for line in text.split("\n") if line)
    ]
    last = max(n for n, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[last:]


def environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    texts = [rest for name, rest in read_instructions() if name == "ENV"]
    return dict(word.split("=", 1) for text in texts for word in shlex.split(text))


def value_of(instruction: str) -> str:
    (value,) = (rest for name, rest in read_instructions() if name == instruction)
    return value


def list_of(instruction: str) -> list[str]:
    """Return an instruction's value in exec form."""
    found = json.loads(value_of(instruction))
    assert isinstance(found, list)
    return found
