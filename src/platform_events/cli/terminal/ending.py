"""How a command ends: with which exit status, and how soon its process does."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from platform_events.cli.terminal.failures import report_failure
from platform_events.cli.terminal.interruption import exit_status

if TYPE_CHECKING:
    from collections.abc import Callable

_LEAVING_SECONDS = 5.0
"""How long threads, and what is registered to be done at exit, may keep a process that hurries."""


class Ending:
    """How the process ends after its command has."""

    def __init__(self) -> None:
        self.hurries = False
        """Whether it ends soon, whatever its threads do: there may be a user's that hang."""

    def begin(self, status: int) -> None:
        """Note that the command is over and the process exits with this status."""
        if self.hurries:
            timer = threading.Timer(_LEAVING_SECONDS, os._exit, (status,))
            timer.daemon = True
            timer.start()


ending = Ending()


def status_of(run: Callable[[], int]) -> int:
    """Run and turn whatever is raised into a message and an exit status."""
    try:
        try:
            return run()
        except (BrokenPipeError, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - a user must not see a traceback
            return report_failure(error)
    except BrokenPipeError:
        # Whoever read our output has enough.
        return 0
    except KeyboardInterrupt as interrupt:
        return exit_status(interrupt)
