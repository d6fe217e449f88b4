"""The directory in which an embedded cluster keeps its data, logs and configuration.

```
cluster.json                 the cluster's id and how many brokers it has
lock                         held while the cluster runs; its text is the owner's process id
log4j2.xml
kafka-1.log, kafka-1.out     what broker 1 logs, and what Java itself prints
node-1/server.properties
node-1/data/                 Kafka's own files
node-1/tmp/
```
"""

from __future__ import annotations

import base64
import json
import locale
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_events.errors import LocalBrokerError
from platform_events.kafka.local.config import LOG4J_CONFIGURATION, render_properties

if TYPE_CHECKING:
    from collections.abc import Mapping

    from platform_events.kafka.local.artifacts import Runtime

_MARKER = "cluster.json"
_LOCK = "lock"
_CHECKPOINT = "bootstrap.checkpoint"
_META = "meta.properties"
_HANDOVER_SECONDS = 15.0
_POLL_SECONDS = 0.05
_FORMAT_SECONDS = 60.0
JVM_OPTIONS = (
    "-Xmx512m",
    # A small broker starts in two thirds of the time without the optimizing compiler and the
    # parallel collector, and is no slower at what one machine's clients ask of it.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    # What Kafka's libraries do is not for its users to be warned of.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)


def new_kafka_uuid() -> str:
    """Return a random UUID as Kafka writes it: 22 characters of URL-safe base64."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):  # Kafka's own tools would take it for an option
            return text


def java_environment() -> dict[str, str]:
    """Return the environment in which Java reads paths as Python wrote them.

    Python takes paths as UTF-8 in the locale C too; Java would see nothing but question marks.
    """
    if sys.getfilesystemencoding() == "utf-8" and locale.getencoding().lower() != "utf-8":
        return os.environ | {"LC_ALL": "C.UTF-8"}
    return dict(os.environ)


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Where the files of one node are."""

    root: Path
    """The cluster's directory, in which Java runs."""
    node: int
    """1-based."""

    @property
    def data(self) -> Path:
        """Kafka's own files."""
        return self.root / f"node-{self.node}" / "data"

    @property
    def properties(self) -> Path:
        """The broker's configuration."""
        return self.root / f"node-{self.node}" / "server.properties"

    @property
    def temporary(self) -> Path:
        """Where Java unpacks native libraries."""
        return self.root / f"node-{self.node}" / "tmp"

    @property
    def log(self) -> Path:
        """What the broker logs."""
        return self.root / f"kafka-{self.node}.log"

    @property
    def output(self) -> Path:
        """What Java and the guard print."""
        return self.root / f"kafka-{self.node}.out"

    def java_command(self, runtime: Runtime, *arguments: str) -> list[str]:
        """Return the command that runs one of Kafka's main classes for this node."""
        return [
            str(runtime.java),
            *JVM_OPTIONS,
            f"-Djava.io.tmpdir={self.temporary}",
            "-Dlog4j2.configurationFile=log4j2.xml",
            f"-Dplatform.events.log={self.log.stem}",
            "-cp",
            runtime.class_path,
            *arguments,
        ]


class DataDirectory:
    """A cluster's directory, locked for as long as this object is open.

    Raises:
        LocalBrokerError: the directory cannot be used, is in use, or holds something else.
    """

    def __init__(self, path: Path | None, brokers: int) -> None:
        self.is_temporary = path is None
        self.brokers = brokers
        try:
            if path is None:
                path = Path(tempfile.mkdtemp(prefix="platform-events-kafka-"))
            else:
                path = path.expanduser().absolute()
                path.mkdir(parents=True, exist_ok=True)
            self.path = path
            self._lock: int | None = self._acquire_lock()
        except OSError as error:
            raise _unusable(path, error) from None
        try:
            self.cluster_id = self._load_or_create()
        except OSError as error:
            self.close()
            raise _unusable(path, error) from None
        except BaseException:
            self.close()
            raise

    @property
    def lock_descriptor(self) -> int:
        """The open lock file. Whoever inherits it keeps the directory locked."""
        assert self._lock is not None
        return self._lock

    def files(self, node: int) -> NodeFiles:
        """Return where the files of node `node` (1-based) are."""
        return NodeFiles(self.path, node)

    def close(self, *, keep_logs: bool = False) -> None:
        """Unlock the directory, and remove it if it is temporary, with `keep_logs` all but logs."""
        import fcntl  # not on Windows

        if self._lock is None:
            return
        if self.is_temporary and keep_logs:
            for node in range(1, self.brokers + 1):
                shutil.rmtree(self.path / f"node-{node}")
        elif self.is_temporary:
            shutil.rmtree(self.path)
        # A forked child may have a copy of the descriptor, so closing it is not enough.
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        os.close(self._lock)
        self._lock = None

    def prepare(self, node: int, runtime: Runtime, properties: Mapping[str, str]) -> None:
        """Write the configuration of a node, and format its data if that was not done yet.

        Raises:
            LocalBrokerError: the disk is full, or the data belongs to another cluster.
        """
        files = self.files(node)
        try:
            (self.path / "log4j2.xml").write_text(LOG4J_CONFIGURATION, "utf-8")
            if files.temporary.exists():
                shutil.rmtree(files.temporary)
            files.temporary.mkdir(parents=True)
            files.properties.touch(mode=0o600)  # it may hold passwords
            files.properties.write_text(render_properties(properties), "ascii")
            if (files.data / _META).exists():
                self._check_owner(files)
            else:
                if files.data.exists():  # an earlier attempt was interrupted
                    shutil.rmtree(files.data)
                self._format(files, runtime)
        except OSError as error:
            raise _unusable(self.path, error) from None

    def _acquire_lock(self) -> int:
        lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._await_lock(lock)
            os.ftruncate(lock, 0)
            os.write(lock, str(os.getpid()).encode("ascii"))
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _await_lock(self, lock: int) -> None:
        import fcntl  # not on Windows

        deadline = time.monotonic() + _HANDOVER_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.pread(lock, 20, 0).decode("ascii", "replace")
                # After an owner was killed, its guards still hold the lock until Java is gone.
                if _is_running(owner) or time.monotonic() > deadline:
                    raise LocalBrokerError(
                        f"the data directory {self.path} is in use by process {owner or '?'}: "
                        "stop that one, or choose another data directory"
                    ) from None
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _load_or_create(self) -> str:
        marker = self.path / _MARKER
        try:
            text = marker.read_text("utf-8")
        except FileNotFoundError:
            self._refuse_foreign_content()
            cluster_id = new_kafka_uuid()
            partial = marker.with_suffix(".partial")
            partial.write_text(
                json.dumps({"cluster_id": cluster_id, "brokers": self.brokers}), "utf-8"
            )
            partial.replace(marker)
            return cluster_id
        cluster_id, brokers = _parse_marker(text, marker)
        if brokers != self.brokers:
            raise LocalBrokerError(
                f"the data directory {self.path} holds a cluster with {_count(brokers)}, not "
                f"{_count(self.brokers)}: start it as it was, or choose another data directory"
            )
        return cluster_id

    def _refuse_foreign_content(self) -> None:
        ours = {_LOCK, f"{_MARKER.removesuffix('.json')}.partial"}
        for entry in sorted(self.path.iterdir()):
            if entry.name not in ours and not entry.name.startswith("."):
                raise LocalBrokerError(
                    f"the data directory {self.path} is not empty and holds no embedded Kafka "
                    f"(there is {entry.name!r}): choose an empty or a new directory"
                )

    def _check_owner(self, files: NodeFiles) -> None:
        lines = (files.data / _META).read_text("utf-8").splitlines()
        meta = dict(line.split("=", 1) for line in lines if "=" in line)
        if (meta.get("cluster.id"), meta.get("node.id")) != (self.cluster_id, str(files.node)):
            raise LocalBrokerError(
                f"{files.data} belongs to node {meta.get('node.id')} of cluster "
                f"{meta.get('cluster.id')}, not to node {files.node} of {self.cluster_id}: "
                "choose another data directory"
            )

    def _format(self, files: NodeFiles, runtime: Runtime) -> None:
        """Do what Kafka's storage tool does, in a second less when it ran before on this machine.

        Its output is the same for every cluster and node but for a short text file.
        """
        template = runtime.cache / _CHECKPOINT if runtime.cache else None
        if template is None or not template.exists():
            self._run_storage_tool(files, runtime)
            if template is not None:
                # A cache that cannot be written costs that second each time, and nothing else.
                with suppress(OSError):
                    _copy_whole(files.data / _CHECKPOINT, template)
            return
        files.data.mkdir(parents=True)
        shutil.copyfile(template, files.data / _CHECKPOINT)
        (files.data / _META).write_text(
            f"version=1\ncluster.id={self.cluster_id}\nnode.id={files.node}\n"
            f"directory.id={new_kafka_uuid()}\n",
            "ascii",
        )

    def _run_storage_tool(self, files: NodeFiles, runtime: Runtime) -> None:
        tool = ("kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c")
        try:
            done = subprocess.run(
                files.java_command(runtime, *tool, str(files.properties)),
                cwd=self.path,
                env=java_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_FORMAT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LocalBrokerError(
                f"formatting {files.data} took more than {_FORMAT_SECONDS:.0f} s: "
                "is this machine overloaded?"
            ) from None
        if done.returncode:
            output = (done.stderr + done.stdout).strip()
            files.output.write_text(output, "utf-8")
            last = output.splitlines()[-1] if output else f"exit status {done.returncode}"
            raise LocalBrokerError(f"cannot format {files.data}: {last} (see {files.output})")


def _parse_marker(text: str, marker: Path) -> tuple[str, int]:
    try:
        content: Any = json.loads(text)
        return str(content["cluster_id"]), int(content["brokers"])
    except (ValueError, KeyError, TypeError):
        raise LocalBrokerError(
            f"{marker} is damaged: choose another data directory, or remove this one to start over"
        ) from None


def _unusable(path: Path | None, error: OSError) -> LocalBrokerError:
    return LocalBrokerError(
        f"the data directory {path or tempfile.gettempdir()} cannot be used: "
        f"{error.strerror or error}; choose another one"
    )


def _is_running(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ValueError:
        return False
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _count(brokers: int) -> str:
    return "1 broker" if brokers == 1 else f"{brokers} brokers"


def _copy_whole(source: Path, target: Path) -> None:
    """Copy so that no other process ever sees half of it."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    shutil.copyfile(source, partial)
    partial.replace(target)
