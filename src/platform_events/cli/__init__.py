"""The command `platform-events`: thin commands over the library.

Data goes to stdout, everything else to stderr. Exit status: 0; 1 when something failed; 2 for
wrong usage; 3 from `plan --exit-code`, and from `work` when its policy has stopped it. What was
ended by Ctrl-C is 130, by SIGTERM 143, except where ending is up to the user: `subscribe` that
follows a stream then ends with 0.
"""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line of this process."""
    try:
        # First: a process 1 gets no signal that it does not ask for.
        from platform_events.cli.terminal.interruption import exit_status, signals

        signals.install()
        from platform_events.cli.program import program
        from platform_events.cli.terminal import standard_streams

        standard_streams.install()
    except KeyboardInterrupt as interrupt:
        # Nothing was begun yet.
        sys.exit(exit_status(interrupt))
    from platform_events.cli.terminal.ending import ending

    try:
        program.main(prog_name="platform-events")
    except SystemExit as end:
        ending.begin(end.code if isinstance(end.code, int) else 0)
        raise
    raise AssertionError("the program exits by itself")
