"""The guard of one embedded broker: runs Java and makes sure that it never outlives its owner.

Run as a script with nothing but the standard library, in a session of its own, so that it starts
in milliseconds and a Ctrl-C in the owner's terminal reaches neither it nor Java:

    python -I -S supervisor.py OWNER_PID GRACE DOOMED JAVA ARGUMENT...

It writes Java's process id to standard output, then stops Java when the owner asks for it with one
byte on standard input, when standard input ends, when its parent is no longer OWNER_PID, or on
SIGTERM. End of file alone is not enough, because a forked child of the owner keeps the pipe open;
the parent alone is not enough either, because a container's first process may be the owner.

GRACE is how many seconds Java has between SIGTERM and SIGKILL. DOOMED is a directory to remove
when the owner is gone, or an empty string. The exit status is Java's.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TERMINATE = b"t"
"""The owner's byte for: SIGTERM, then SIGKILL after the grace period."""
KILL = b"k"
"""The owner's byte for: SIGKILL at once."""
_ORPHANED = b""
_PARENT_CHECK_SECONDS = 0.2
_PR_SET_PDEATHSIG = 1


def _death_signal() -> Callable[[], None] | None:
    """Return what makes Java die with this process, where the kernel can do that (Linux).

    The kernel ties the signal to the thread that forked. This process has only one, so here, and
    not in the owner, that is the same as the process.
    """
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    libc = ctypes.CDLL(None)
    guard = os.getpid()

    def die_with_guard() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guard:
            os._exit(1)

    return die_with_guard


def _wait_for_reason(java: subprocess.Popen[bytes], owner: int, wakeup: int) -> bytes | None:
    """Return why Java must stop, or None when it ended by itself."""
    try:
        os.write(1, b"%d\n" % java.pid)
        os.close(1)
    except BrokenPipeError:
        return _ORPHANED
    while java.poll() is None:
        ready, _, _ = select.select([0, wakeup], [], [], _PARENT_CHECK_SECONDS)
        if wakeup in ready and signal.SIGTERM in os.read(wakeup, 64):
            return TERMINATE
        if 0 in ready:
            return os.read(0, 1)
        if os.getppid() != owner:
            return _ORPHANED
    return None


def _stop(java: subprocess.Popen[bytes], grace: float) -> None:
    if grace > 0:
        java.send_signal(signal.SIGTERM)
        java.send_signal(signal.SIGCONT)  # a paused broker would not see SIGTERM
        try:
            java.wait(grace)
        except subprocess.TimeoutExpired:
            java.kill()
    else:
        java.kill()
    java.wait()


def supervise(owner: int, grace: float, doomed: str, command: list[str]) -> int:
    """Run `command` until it ends or must be stopped. Return its exit status."""
    wakeup, wakeup_end = os.pipe()
    os.set_blocking(wakeup_end, False)
    signal.set_wakeup_fd(wakeup_end)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    java = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=_death_signal(),  # noqa: PLW1509 - this process has one thread
    )
    try:
        reason = _wait_for_reason(java, owner, wakeup)
    except BaseException:
        java.kill()
        raise
    if reason is not None:
        throw_away = reason == KILL or (reason == _ORPHANED and doomed)
        _stop(java, 0 if throw_away else grace)
    if reason == _ORPHANED and doomed:
        import shutil  # rarely needed, and slow to import

        # Another node's guard may be removing the same tree.
        shutil.rmtree(doomed, ignore_errors=True)
    status = java.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(supervise(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4:]))
