"""The command `platform-events`: thin commands over the library.

Data goes to stdout, everything else to stderr. Exit status: 0; 1 when something failed; 2 for
wrong usage; `plan --exit-code` also 3. What was ended by Ctrl-C is 130, by SIGTERM 143, except
where ending is up to the user: `subscribe` that follows a stream then ends with 0.
"""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]
_INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line of this process."""
    try:
        from platform_events.cli.program import program
        from platform_events.cli.terminal import standard_streams
        from platform_events.cli.terminal.interruption import signals

        standard_streams.install()
        signals.install()
    except KeyboardInterrupt:
        # Nothing was begun yet.
        sys.exit(_INTERRUPTED)
    program.main(prog_name="platform-events")
    raise AssertionError("the program exits by itself")
