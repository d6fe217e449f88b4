"""No broker outlives its owner, however that one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from platform_events.errors import LocalBrokerError
from platform_events.kafka.local import LocalKafka

pytestmark = pytest.mark.end_to_end

if TYPE_CHECKING:
    from collections.abc import Callable

OWNER = """
import os, sys, time
from pathlib import Path
from platform_events.kafka.local import LocalKafka

data_dir = Path(sys.argv[2]) if len(sys.argv) > 2 else None
with LocalKafka(data_dir=data_dir) as kafka:
    heir = 0
    if sys.argv[1] == "fork":
        heir = os.fork()
        if heir == 0:
            time.sleep(600)
    print(kafka.pids[1], heir, kafka.data_dir, flush=True)
    time.sleep(600)
"""


def start_owner(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_a_killed_owner_whose_child_holds_everything_open(
    is_alive: Callable[[int], bool], eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    with start_owner("fork") as owner:
        java, heir, directory = owner.stdout.readline().decode().split()
        try:
            owner.kill()
            owner.wait()
            eventually(lambda: not is_alive(int(java)), "Java outlived its owner")
            eventually(lambda: not Path(directory).exists(), "temporary data outlived its owner")
            assert is_alive(int(heir))
        finally:
            os.kill(int(heir), signal.SIGKILL)


def test_a_new_owner_can_follow_a_killed_one_at_once(
    tmp_path: Path, is_alive: Callable[[int], bool]
) -> None:
    with start_owner("", str(tmp_path)) as owner:
        java = int(owner.stdout.readline().split()[0])
        owner.kill()
    with LocalKafka(data_dir=tmp_path) as kafka:
        assert not is_alive(java)
        assert is_alive(kafka.pids[1])


def test_ctrl_c_is_a_clean_stop(tmp_path: Path, is_alive: Callable[[int], bool]) -> None:
    with start_owner("", str(tmp_path)) as owner:
        java = int(owner.stdout.readline().split()[0])
        os.killpg(owner.pid, signal.SIGINT)
        _, errors = owner.communicate()
    assert errors.decode().rstrip().endswith("KeyboardInterrupt")
    assert not is_alive(java)
    assert "shut down completed" in (tmp_path / "kafka-1.log").read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_guard_takes_java_down(
    is_alive: Callable[[int], bool], eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    with LocalKafka() as kafka:
        java = kafka.pids[1]
        status = Path(f"/proc/{java}/stat").read_text().rpartition(")")[2].split()
        os.kill(int(status[1]), signal.SIGKILL)
        eventually(lambda: not is_alive(java), "Java outlived its guard")
        eventually(lambda: not kafka.pids, "the owner does not notice")
        with pytest.raises(LocalBrokerError, match="ended by itself"):
            kafka.check()
        kafka.restart()
        kafka.check()
    assert not kafka.data_dir.exists()
