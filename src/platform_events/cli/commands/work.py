"""`platform-events work`."""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING

import click

from platform_events.cli.arguments import Command
from platform_events.cli.long_running import answering_probes
from platform_events.cli.terminal.ending import ending
from platform_events.cli.terminal.messages import log_messages, note
from platform_events.cli.worker_process import Job, run_alone, start_child
from platform_events.errors import UsageError

if TYPE_CHECKING:
    from platform_events.cli.connection import Connection


@click.command(
    cls=Command,
    examples=(
        "platform-events work billing.worker:app",
        "platform-events work billing.worker:app --processes 4 --grace 60",
    ),
)
@click.argument("app", metavar="MODULE:APP")
@click.option(
    "--processes",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many to run; as many as the stream has partitions can be busy.",
)
@click.option(
    "--instance-id",
    metavar="ID",
    help="Make it a static member, which gets its partitions back if it returns within 6 s.",
)
@click.option(
    "--grace",
    metavar="SECONDS",
    type=float,
    help="How long handlers may take to finish at the end. Default: what the worker says, else 30.",
)
@click.pass_obj
def work(
    connection: Connection, app: str, processes: int, instance_id: str | None, grace: float | None
) -> int:
    """Handle a stream's events with a worker.

    MODULE is looked for in the working directory first; APP is the Worker that it has.

    Runs until Ctrl-C or SIGTERM, which end it with status 0 when what is under way is finished; a
    second one ends it at once, with 130 or 143. Any number of processes, here and elsewhere, share
    the stream's partitions. With --processes one of them that is killed is started again.

    What is not there yet is waited for: Kafka, definitions, topics. What only a person can end,
    such as a missing ACL, ends it with status 1 once it has lasted 30 seconds. Status 3 says that
    the worker was stopped by its own policy, or that its subscription was deleted. With
    PLATFORM_EVENTS_HEALTH_PORT it answers /livez, /readyz and /metrics.
    """
    from platform_events.workers.options import check_instance_id, check_seconds

    job = Job(
        app,
        connection.bootstrap_servers,
        connection.tenant,
        check_instance_id(instance_id),
        None if grace is None else check_seconds("--grace", grace),
    )
    log_messages()
    # Handlers are the users' and may hang.
    ending.hurries = True
    if processes == 1:
        run_alone(job)
        status = 0
    else:
        status = _run_several(connection, job, processes)
    if not status:
        note("stopped")
    return status


def _run_several(connection: Connection, job: Job, number: int) -> int:
    from platform_events.workers.processes import Processes
    from platform_events.workers.running import drain_on_signals

    if os.name != "posix":
        raise UsageError("--processes needs a POSIX system: start several by themselves instead")
    settings = connection.settings()
    metrics = None
    if settings.metrics:
        from platform_events.metrics import merge_metrics

        metrics = merge_metrics()
    stop = threading.Event()
    processes = Processes(number, partial(start_child, job), metrics)
    with (
        drain_on_signals(stop, insistently=True, before_leaving=processes.kill),
        answering_probes(settings, processes.health, stop, metrics.text if metrics else None),
    ):
        return processes.run(stop)
