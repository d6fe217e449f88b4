"""Whether the API server takes the production overlay, by the operator's own definitions."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.deployment.cluster import Cluster
from tests.deployment.commands import DeploymentError, require, say
from tests.docs.pages import ROOT

NAMESPACE = "platform-events"
_MISTAKE = ("[Describe]", "[Describ]")


def judge_production(release: Path) -> None:
    """Have the server judge the overlay, and the overlay with a mistake.

    Args:
        release: an unpacked release of Strimzi.
    """
    cluster = Cluster(NAMESPACE)
    definitions = sorted(release.glob("install/cluster-operator/*-Crd-*.yaml"))
    if not definitions:
        raise DeploymentError(
            f"{release} is no release of Strimzi: no install/cluster-operator/*-Crd-*"
        )
    with _installed(cluster, definitions), tempfile.TemporaryDirectory() as directory:
        production = Path(shutil.copytree(ROOT / "k8s", Path(directory) / "k8s"))
        production = production / "overlays" / "production"
        _judge(cluster, production)
        users = production / "users.yaml"
        require(_MISTAKE[0] in users.read_text(), "the mistake has no place")
        users.write_text(users.read_text().replace(*_MISTAKE))
        try:
            _judge(cluster, production)
        except DeploymentError as error:
            require("Unsupported value" in str(error), str(error))
        else:
            raise DeploymentError("the server takes an operation that does not exist")
    say("the server takes the production overlay, and refuses it with a mistake")


def _judge(cluster: Cluster, overlay: Path) -> None:
    cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "--kustomize", str(overlay))


@contextmanager
def _installed(cluster: Cluster, definitions: list[Path]) -> Iterator[None]:
    """Have the operator's resources and the namespace, and leave what was not there before."""
    files = [word for path in definitions for word in ("--filename", str(path))]
    has_resources = (
        cluster.kubectl("get", "crd", "kafkas.kafka.strimzi.io", check=False).returncode == 0
    )
    has_namespace = cluster.kubectl("get", "namespace", NAMESPACE, check=False).returncode == 0
    try:
        if not has_resources:
            # They are larger than the annotation in which client-side apply keeps what was applied.
            cluster.kubectl("apply", "--server-side", *files)
            cluster.kubectl("wait", "--for=condition=established", "--timeout=60s", *files)
        if not has_namespace:
            cluster.kubectl("create", "namespace", NAMESPACE)
        yield
    finally:
        if not has_namespace:
            cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
        if not has_resources:
            cluster.kubectl("delete", "--ignore-not-found", *files)
