"""A broker and the benchmarks' event definitions on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from confluent_kafka.admin import AdminClient

from benchmarks.rivals.base import Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from benchmarks.events import Case

CLI = (
    sys.executable,
    "-c",
    "import sys; from platform_events.cli import main; sys.exit(main())",
)
"""The `platform-events` command as its script runs it, whether or not the script is installed."""
_PREFIX = "platform-events"
LOG_LEVEL = 4
"""librdkafka's log level, warnings: it informs about each client that ends."""


@contextmanager
def running_broker(bootstrap_servers: str | None) -> Iterator[str]:
    """Give the address of a broker: the one named, else an embedded one that ends afterwards."""
    if bootstrap_servers is not None:
        yield bootstrap_servers
        return
    from platform_events.kafka.local import LocalKafka

    with LocalKafka() as kafka:
        yield kafka.bootstrap_servers


def environment(bootstrap_servers: str, tenant: str) -> dict[str, str]:
    """Return this process's environment without SDK settings but these two."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("PLATFORM_EVENTS_")
    }
    return clean | {
        "PLATFORM_EVENTS_BOOTSTRAP_SERVERS": bootstrap_servers,
        "PLATFORM_EVENTS_TENANT": tenant,
    }


def tenant_prefix(tenant: str) -> str:
    """Return what the names of a tenant's topics begin with."""
    return f"{_PREFIX}.{tenant}."


def write_definitions(folder: Path, cases: Iterable[Case]) -> None:
    """Write one definition file per case. JSON, which is YAML too."""
    for case in cases:
        text = json.dumps(case.definition(), indent=2)
        (folder / f"{case.event}.yaml").write_text(text, encoding="utf-8")


def deploy(bootstrap_servers: str, cases: Sequence[Case]) -> dict[str, Target]:
    """Apply the cases in a tenant of their own and return where each went.

    Raises:
        RuntimeError: `platform-events` refused or failed.
    """
    tenant = f"bench-{uuid4().hex[:8]}"
    env = environment(bootstrap_servers, tenant)
    with tempfile.TemporaryDirectory() as folder:
        write_definitions(Path(folder), cases)
        run_cli(["apply", folder], env)
    return {case.event: describe_target(case, bootstrap_servers, tenant) for case in cases}


@contextmanager
def deployed(bootstrap_servers: str, cases: Sequence[Case]) -> Iterator[dict[str, Target]]:
    """Apply the cases as `deploy` does; their topics are deleted afterwards."""
    targets = deploy(bootstrap_servers, cases)
    try:
        yield targets
    finally:
        for tenant in {target.tenant for target in targets.values()}:
            delete_topics(bootstrap_servers, tenant_prefix(tenant))


def describe_target(case: Case, bootstrap_servers: str, tenant: str) -> Target:
    """Return what is known of a case that was applied."""
    shown = show_schema(case.event, bootstrap_servers, tenant)
    return Target(
        bootstrap_servers=bootstrap_servers,
        tenant=tenant,
        event=case.event,
        topic=tenant_prefix(tenant) + case.event,
        partitions=case.partitions,
        key_field=case.key_field,
        schema=shown["schema"],
        schema_id=shown["schema_id"],
    )


def show_schema(event: str, bootstrap_servers: str, tenant: str) -> dict[str, Any]:
    """Return `schema` and `schema_id` of an event."""
    env = environment(bootstrap_servers, tenant)
    shown: dict[str, Any] = json.loads(run_cli(["schema", "show", event, "--json"], env))
    return shown


def run_cli(arguments: list[str], env: dict[str, str]) -> str:
    """Run `platform-events` and return its output.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [*CLI, *arguments], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise RuntimeError(f"platform-events {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def delete_topics(bootstrap_servers: str, prefix: str) -> None:
    """Delete all topics whose names begin so."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": LOG_LEVEL})
    topics = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    outcomes: dict[str, Any] = admin.delete_topics(topics) if topics else {}
    for outcome in outcomes.values():
        outcome.result()
