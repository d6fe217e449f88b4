"""Modules with workers, as processes load them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_CODE = """
import sys
from platform_events.workers.loading import load_app
print(load_app(sys.argv[1]).name)
"""


def load_from(directory: Path, app: str) -> str:
    """Return the name of a worker that a process finds which runs in a directory.

    Args:
        directory: where it runs.
        app: `MODULE:APP`.
    """
    return subprocess.run(
        [sys.executable, "-B", "-c", _CODE, app],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
