"""A Kubernetes cluster through kubectl, as `make k8s-test` needs it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.deployment.commands import (
    IMAGE,
    KAFKA,
    DeploymentError,
    await_that,
    build_image,
    has_engine,
    run,
    say,
    words,
)  # fmt: skip
from tests.deployment.rendering import Object
from tests.docs.pages import ROOT

ROUTER = "app.kubernetes.io/component=router"
WORKER = "app.kubernetes.io/component=worker"
_WORKLOAD = ROOT / "tests" / "deployment" / "workload.py"


class Cluster:
    """One namespace of the cluster of kubectl's context."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._kubectl = words("KUBECTL", "kubectl")

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> Any:
        return run(*self._kubectl, *arguments, text=text, check=check)

    def inside(self, *arguments: str, text: str | None = None, check: bool = True) -> Any:
        """Run kubectl in the namespace."""
        return self.kubectl("--namespace", self.namespace, *arguments, text=text, check=check)

    def items(self, kind: str, *arguments: str) -> list[Object]:
        found: list[Object] = json.loads(
            self.inside("get", kind, "--output", "json", *arguments).stdout
        )["items"]
        return found

    def routers(self) -> list[Object]:
        """Return the pods of routers that are not on their way out."""
        return self._pods(ROUTER)

    def workers(self) -> list[Object]:
        """Return the pods of workers that are not on their way out."""
        return self._pods(WORKER)

    def _pods(self, selector: str) -> list[Object]:
        pods = self.items("pods", "--selector", selector)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def apply(self, objects: list[Object]) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--filename", "-", text=json.dumps(document))

    def deploy(self, overlay: Path) -> None:
        run("k8s/deploy.sh", str(overlay))

    def await_rollout(self, workload: str, seconds: int = 180) -> None:
        self.inside("rollout", "status", workload, f"--timeout={seconds}s")

    def await_applied(self) -> None:
        self.inside("wait", "job/apply", "--for=condition=complete", "--timeout=180s")

    def restarts(self) -> dict[str, int]:
        """Return the pods with containers that were restarted, and how often."""
        counts = {
            pod["metadata"]["name"]: sum(
                status["restartCount"] for status in pod["status"].get("containerStatuses", [])
            )
            for pod in self.items("pods")
        }
        return {name: count for name, count in counts.items() if count}

    def execute(self, pod: str, *command: str) -> str:
        output: str = self.inside("exec", pod, "--", *command).stdout
        return output

    def leader(self) -> str:
        """Return the pod of the router that fills the channel."""
        pod = self.routers()[0]["metadata"]["name"]
        streams = json.loads(self.execute(pod, "platform-events", "streams", "--json"))
        (router,) = (part["router"] for stream in streams for part in stream.get("routing", []))
        assert isinstance(router, str)
        return router.removeprefix("router@").rpartition(":")[0]

    def show(self, subscription: str) -> dict[str, Any]:
        """Return what there is to know about a subscription."""
        pod = self.routers()[0]["metadata"]["name"]
        show = ("platform-events", "subscriptions", "show", subscription, "--json")
        found: dict[str, Any] = json.loads(self.execute(pod, *show))
        return found

    def members(self, subscription: str) -> list[list[int]]:
        """Return the partitions that each worker of a subscription has."""
        return [member["partitions"] for member in self.show(subscription)["members"]]

    def start_workload(self, seconds: float, *arguments: str) -> None:
        """Start publishing from a pod of the image, and return when it has begun."""
        self.inside("delete", "pod,configmap", "workload", "--ignore-not-found")
        self.inside("create", "configmap", "workload", f"--from-file={_WORKLOAD}")
        self.apply([_workload_pod(self.namespace, ["--seconds", str(seconds), *arguments])])

        def has_begun() -> bool:
            return "publishing" in self.inside("logs", "workload", check=False).stdout

        await_that("the workload publishes", has_begun, 60)

    def finish_workload(self) -> dict[str, Any]:
        """Return what the workload found.

        Raises:
            DeploymentError: events are missing, twice or not stored.
        """

        def has_ended() -> bool:
            pod = json.loads(self.inside("get", "pod", "workload", "--output", "json").stdout)
            return pod["status"]["phase"] in ("Succeeded", "Failed")

        await_that("the workload ends", has_ended, 300)
        log = self.inside("logs", "workload").stdout
        pod = json.loads(self.inside("get", "pod", "workload", "--output", "json").stdout)
        if pod["status"]["phase"] != "Succeeded":
            raise DeploymentError(f"the workload failed:\n{log}")
        found: dict[str, Any] = json.loads(log.splitlines()[-1])
        return found


def load_images() -> None:
    """Give the cluster the images, if K8S_LOAD says how; else it must know them."""
    if not words("K8S_LOAD", ""):
        say(f"K8S_LOAD is not set: the cluster has to know {IMAGE} and {KAFKA} already")
        return
    if not has_engine():
        raise DeploymentError("K8S_LOAD needs a Docker engine that has the images")
    build_image()
    load_image(IMAGE, KAFKA)
    say("the cluster has the images")


def load_image(*images: str) -> None:
    """Give the cluster images of the engine, as K8S_LOAD says."""
    with tempfile.TemporaryDirectory() as directory:
        archive = str(Path(directory) / "images.tar")
        run("docker", "save", "--output", archive, *images)
        run(*words("K8S_LOAD", ""), archive)


def why_not() -> str | None:
    """Return why there is no cluster to try; None if there is one."""
    kubectl = words("KUBECTL", "kubectl")
    if shutil.which(kubectl[0]) is None:
        return f"there is no {kubectl[0]}"
    if run(*kubectl, "get", "--raw", "/version", "--request-timeout=5s", check=False).returncode:
        return "no cluster answers kubectl"
    return None


def _workload_pod(namespace: str, arguments: list[str]) -> Object:
    security: Mapping[str, Any] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "workload", "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "workload",
                    "image": IMAGE,
                    "command": ["python", f"/workload/{_WORKLOAD.name}"],
                    "args": arguments,
                    "env": [{"name": "PLATFORM_EVENTS_BOOTSTRAP_SERVERS", "value": "kafka:9092"}],
                    "volumeMounts": [{"name": "work", "mountPath": "/workload"}],
                    "securityContext": security,
                }
            ],
            "volumes": [{"name": "work", "configMap": {"name": "workload"}}],
        },
    }
