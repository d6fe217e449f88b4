"""Clusters that cannot start say why, in one line."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_events.errors import LocalBrokerError, UsageError
from platform_events.kafka.local import LocalKafka


def test_a_broker_that_cannot_start_says_why_and_where() -> None:
    kafka = LocalKafka(properties={"log.retention.ms": "soon"})
    with pytest.raises(LocalBrokerError, match=r"log\.retention\.ms") as caught:
        kafka.start()
    message = str(caught.value)
    assert "\n" not in message
    file = Path(re.search(r"\(see (.*)\)$", message)[1])
    assert "soon" in file.read_text()
    assert kafka.pids == {}
    shutil.rmtree(kafka.data_dir)


def test_a_busy_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LocalBrokerError, match=f"port {port} .*--kafka-port"):
            LocalKafka(port=port).start()


@pytest.mark.parametrize("arguments", [{"brokers": 2}, {"port": 0}, {"port": 65_535, "brokers": 3}])
def test_impossible_clusters_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        LocalKafka(**arguments)


def test_a_directory_with_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").touch()
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(LocalBrokerError, match=r"not empty .*thesis\.txt"):
        LocalKafka(data_dir=tmp_path).start()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalBrokerError, match=r"cannot be used: Not a directory; choose"):
        LocalKafka(data_dir=tmp_path / "file" / "data").start()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("only root can mount a tmpfs, and only on Linux")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("room", [0, 40_000], ids=["nothing fits", "the broker starts"])
def test_a_full_disk_is_one_line(tiny_disk: Path, room: int) -> None:
    usage = shutil.disk_usage(tiny_disk)
    (tiny_disk / ".ballast").write_bytes(bytes(usage.free - room))
    with pytest.raises(LocalBrokerError, match="No space left on device") as caught:
        LocalKafka(data_dir=tiny_disk / "data").start()
    assert "\n" not in str(caught.value)


def test_native_windows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(LocalBrokerError, match="WSL 2"):
        LocalKafka().start()
