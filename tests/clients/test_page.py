"""The programs in docs/clients.md work as they stand there, but for addresses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_events.service.certificates import CA_FILE
from platform_events.settings import Settings
from tests.clients.conftest import PYTHON, running, trusting
from tests.docs.pages import page
from tests.support import ORDER

PROGRAMS = {
    block.title: block.text for block in page("docs/clients.md").blocks if block.title is not None
}
"""By their names."""


class Reader:
    """A reader of the page in a directory of his own, with a service."""

    def __init__(
        self, directory: Path, addresses: dict[str, str], environment: dict[str, str]
    ) -> None:
        self._directory = directory
        self._addresses = addresses
        self._environment = environment

    def run(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Save a program of the page, and start it."""
        text = PROGRAMS[name]
        for shown, address in (
            ("http://127.0.0.1:7080", self._addresses["http"]),
            ("grpc_port=7443", f"grpc_port={self._addresses['grpc'].rpartition(':')[2]}"),
        ):
            assert shown in text or name == "trust.py", shown
            text = text.replace(shown, address)
        path = self._directory / name
        path.write_text(text)
        return subprocess.Popen(
            [PYTHON, path, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def first_line(self, name: str, beginning: str) -> str:
        """Run a program that does not end until it prints a line with this beginning."""
        with self.run(name) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if line.startswith(beginning):
                        return line
            finally:
                process.kill()
            assert process.stderr is not None
            pytest.fail(process.stderr.read())


@pytest.fixture
def reader(settings: Settings, define: Callable[..., None], tmp_path: Path) -> Iterator[Reader]:
    define(ORDER)
    with running(settings, tmp_path / "tls") as addresses:
        yield Reader(tmp_path, addresses, trusting(tmp_path, None))


def test_what_the_page_shows_works(reader: Reader, tmp_path: Path) -> None:
    assert set(PROGRAMS) == {"trust.py", "orders.py", "follow.py"}
    authority = tmp_path / "tls" / CA_FILE
    for _ in range(2):
        with reader.run("trust.py", str(authority)) as process:
            _, said = process.communicate()
        assert process.returncode == 0, said
    bundle = tmp_path / "packages/certifi/cacert.pem"
    assert bundle.read_text().count(authority.read_text()) == 1
    published, replay_id = reader.first_line("orders.py", "published ").split()
    assert (published, len(replay_id)) == ("published", 20)
    assert reader.first_line("orders.py", "received ").startswith("received A-1 ")
    assert reader.first_line("follow.py", "received ") == f"received A-1 {replay_id}\n"
