"""Files that are replaced as a whole: others see the old content or the new."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file, which has its content and its rights from the moment that it is there.

    Args:
        path: of the file.
        data: its content.
        mode: who may do what with it, such as `0o600`.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
