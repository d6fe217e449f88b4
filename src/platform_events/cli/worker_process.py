"""One process of a worker: the only one, or one of several that `work` has started.

    python -m platform_events.cli.worker_process JSON

is what the latter run; the argument is what `start_child` writes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from platform_events.cli.connection import Connection
from platform_events.cli.long_running import answering_probes, collect_rarely
from platform_events.cli.terminal.ending import ending, status_of
from platform_events.cli.terminal.messages import begin_messages, log_messages

if TYPE_CHECKING:
    from platform_events.process_health import ProcessHealth


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is to do."""

    app: str
    """`MODULE:APP`."""
    bootstrap_servers: str | None
    """`--bootstrap-servers`; None: the environment's."""
    tenant: str | None
    """`--tenant`; None: the environment's."""
    instance_id: str | None
    """`--instance-id`; None: the worker's own."""
    grace: float | None
    """`--grace`; None: the worker's own."""


def run_alone(job: Job) -> None:
    """Run a worker in this process until SIGINT or SIGTERM; answer probes meanwhile.

    Raises:
        UsageError: there is no such worker, or it cannot run.
        PlatformEventsError: what ends it.
    """
    from platform_events.workers.loading import load_app
    from platform_events.workers.running import drain_on_signals, opened_runtime, run_loop

    settings = Connection(job.bootstrap_servers, job.tenant).settings()
    collect_rarely()
    app = load_app(job.app)
    with (
        drain_on_signals(app.stopping, insistently=True),
        opened_runtime(
            app, settings, app.stopping, instance_id=job.instance_id, grace=job.grace
        ) as runtime,
        answering_probes(settings, runtime.health, app.stopping),
    ):
        run_loop(runtime.run())


def start_child(job: Job, number: int, lifeline: int, reports: int) -> subprocess.Popen[bytes]:
    """Start one process of several.

    Args:
        job: what it is to do.
        number: of the process, from 1.
        lifeline: descriptor whose end ends it.
        reports: descriptor through which it says how it is.
    """
    argument = {"job": asdict(job), "number": number, "lifeline": lifeline, "reports": reports}
    return subprocess.Popen(
        [sys.executable, "-m", __name__, json.dumps(argument)],
        stdin=subprocess.DEVNULL,
        pass_fds=(lifeline, reports),
        # Ctrl-C reaches all processes of a terminal, and each is to get it once, from its parent.
        start_new_session=True,
    )


def main() -> None:
    """Run one process of several, as its argument says."""
    begin_messages()
    log_messages()
    argument = json.loads(sys.argv[1])
    child = _Child(Job(**argument["job"]), argument["number"])
    status = status_of(lambda: child.run(argument["lifeline"], argument["reports"]))
    ending.hurries = True
    ending.begin(status)
    sys.exit(status)


class _Child:
    """A process of several, and what it tells its parent."""

    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._number = number
        self._is_loaded = False
        self._has_metrics = False
        self._health: ProcessHealth | None = None

    def run(self, lifeline: int, reports: int) -> int:
        from platform_events.workers.lifeline import Parent
        from platform_events.workers.loading import load_app
        from platform_events.workers.running import drain_on_signals, opened_runtime, run_loop

        settings = Connection(self._job.bootstrap_servers, self._job.tenant).settings()
        parent = Parent(lifeline, reports, self._report)
        with ExitStack() as exits:
            exits.callback(parent.tell)
            collect_rarely()
            app = load_app(self._job.app)
            self._is_loaded = True
            parent.tell()
            parent.ends(app.stopping)
            instance_id = self._job.instance_id or app.instance_id
            exits.enter_context(drain_on_signals(app.stopping, insistently=True))
            runtime = exits.enter_context(
                opened_runtime(
                    app,
                    settings,
                    app.stopping,
                    instance_id=f"{instance_id}-{self._number}" if instance_id else None,
                    grace=self._job.grace,
                )
            )
            self._health, self._has_metrics = runtime.health, settings.metrics
            run_loop(runtime.run())
        return 0

    def _report(self) -> Any:
        from platform_events.workers.lifeline import Report

        health = self._health
        if health is None:
            return Report(is_loaded=self._is_loaded)
        metrics = ""
        if self._has_metrics:
            from platform_events.metrics.exposition import metrics_text

            metrics = metrics_text().decode()
        return Report(health.obstacle, health.loop_age, self._is_loaded, metrics)


if __name__ == "__main__":
    main()
