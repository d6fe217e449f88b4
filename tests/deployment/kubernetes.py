"""Runs the manifests in a Kubernetes cluster for real: `make k8s-test`.

It makes the namespace of the dev overlay in the cluster of kubectl's context, and deletes it. Where
there is no cluster it says so. From the environment:

KUBECTL       the command instead of kubectl, with arguments
K8S_LOAD      a command that gives the cluster an archive of `docker save`, its last argument, such
              as "kind load image-archive"; without it the cluster must know the images
DOCKER_BUILD  the command that builds the image instead of `docker build`
K8S_CLAIM     a command whose last argument is the name of Kafka's PersistentVolume, for clusters
              whose volumes do not honour fsGroup: it gives the volume to user 1000
STRIMZI       an unpacked release of Strimzi, whose resource definitions the production overlay is
              judged by
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.deployment.cluster import Cluster, load_image, load_images, why_not
from tests.deployment.commands import (
    await_that,
    finish,
    require,
    run,
    say,
    skip,
    summary,
    summary_of_handling,
    words,
)  # fmt: skip
from tests.deployment.handler_files import (
    PARTITIONS,
    SUBSCRIPTION,
    put_into_overlay,
    require_few_repeats,
    require_newer_protocol,
)  # fmt: skip
from tests.deployment.own_image import DEFINITIONS, build_definitions, copy_overlay
from tests.deployment.rendering import Object, find, render
from tests.deployment.strimzi import judge_production
from tests.docs.pages import ROOT, page
from tests.docs.running import commands_of

NAMESPACE = "platform-events-dev"
_ALONE_SECONDS = 20.0
"""How long routers run without Kafka: a process that fails at its start would be restarted."""
_NEW_FIELD = "  - {name: currency, type: string, optional: true}\n"
_IMAGE_FIELD = "  - {name: coupon, type: string, optional: true}\n"
_SIGNAL = """
import os, sys
for pid in filter(str.isdigit, os.listdir("/proc")):
    words = open(f"/proc/{pid}/cmdline").read().split("\\0")
    if sys.argv[1] in words and int(pid) != os.getpid():
        os.kill(int(pid), int(sys.argv[2]))
"""
"""Without effect on a process 1, so pods share one process namespace when it runs."""


def from_nothing(cluster: Cluster, overlay: Path) -> None:
    """Start routers and a worker before there is a Kafka, then all of it."""
    objects = render(overlay)
    kafka = find(objects, "StatefulSet", "kafka")
    begin = time.monotonic()
    cluster.apply([each for each in objects if each is not kafka])
    await_that("routers and the worker run", lambda: _running(cluster) == 3, 120)
    time.sleep(_ALONE_SECONDS)
    _require_no_restarts(cluster)
    ready = [pod for pod in (*cluster.routers(), *cluster.workers()) if _is_ready(pod)]
    require(not ready, "routers or workers are ready without a Kafka")
    say(f"all wait for Kafka, unready, for {_ALONE_SECONDS:.0f} s, without a restart")
    _claim(cluster, kafka)
    cluster.deploy(overlay)
    for workload in ("statefulset/kafka", "deployment/router", "deployment/billing"):
        cluster.await_rollout(workload)
    cluster.await_applied()
    _require_no_restarts(cluster)
    say(f"all is ready {time.monotonic() - begin:.1f} s after the start, without a restart")


def follow_the_page() -> None:
    """Do what docs/deployment.md shows for a router's pod: publish an event, and read it."""
    shown = [
        command
        for block in page("docs/deployment.md").blocks
        for command in commands_of(block)
        if "kubectl " in command and " exec " in command
    ]
    kubectl = shlex.join(words("KUBECTL", "kubectl"))
    printed = [run("bash", "-c", each.replace("kubectl", kubectl)).stdout for each in shown]
    require('"PERSISTED"' in printed[0], f"published: {printed[0]}")
    require('"A-1"' in printed[1], f"read from the channel: {printed[1]}")
    require("Large_Orders__chn" in printed[2], f"streams: {printed[2]}")
    require("billing" in printed[3], f"subscriptions: {printed[3]}")
    say("published and read an event with the commands of docs/deployment.md")


def deploy_again(cluster: Cluster, overlay: Path) -> None:
    """Deploy with another definition, as kubectl refuses it and as the script does it."""
    definition = overlay / "schemas" / "Order_Placed__e.yaml"
    definition.write_text(definition.read_text() + _NEW_FIELD)
    plain = cluster.kubectl("apply", "--kustomize", str(overlay), check=False)
    require("field is immutable" in plain.stderr, f"kubectl apply -k says: {plain.stderr}")
    cluster.deploy(overlay)
    cluster.await_applied()
    log = cluster.inside("logs", "job/apply").stdout
    require("update Order_Placed__e" in log, f"the Job did not apply the new field:\n{log}")
    say("deployed again with a new field, which plain kubectl apply -k refuses as immutable")


def deploy_an_image(cluster: Cluster, overlay: Path) -> None:
    """Deploy definitions that are in an image of their own, and in no ConfigMap."""
    if not words("K8S_LOAD", ""):
        say("K8S_LOAD is not set: definitions in an image of their own are not tried")
        return
    copy = overlay.parent / "own-image"
    copy_overlay(overlay, copy)
    definition = copy / "schemas" / "Order_Placed__e.yaml"
    definition.write_text(definition.read_text() + _IMAGE_FIELD)
    build_definitions(copy)
    try:
        load_image(DEFINITIONS)
    finally:
        run("docker", "image", "rm", DEFINITIONS)
    cluster.deploy(copy)
    cluster.await_applied()
    cluster.await_rollout("deployment/router")
    log = cluster.inside("logs", "job/apply").stdout
    require("update Order_Placed__e" in log, f"the Job did not apply the image's field:\n{log}")
    say("deployed definitions that are in an image of their own")


def under_load(cluster: Cluster) -> None:
    """Replace routers and Kafka while events flow."""
    cluster.start_workload(75)
    begin = time.monotonic()

    def at(seconds: float) -> None:
        time.sleep(max(begin + seconds - time.monotonic(), 0))

    at(5)
    cluster.inside("rollout", "restart", "deployment/router")
    cluster.await_rollout("deployment/router")
    say(f"rolled in {time.monotonic() - begin - 5:.1f} s")
    at(32)
    pod = cluster.leader()
    cluster.inside("delete", "pod", pod, "--force", "--grace-period=0")
    say("forced the router out that fills the channel")
    at(45)
    cluster.inside("delete", "pod", "kafka-0")
    cluster.await_rollout("statefulset/kafka")
    say(f"Kafka's pod was deleted, and is ready again after {time.monotonic() - begin - 45:.1f} s")
    say(summary(cluster.finish_workload()))
    cluster.await_rollout("deployment/router")


def evict_both(cluster: Cluster) -> None:
    """Evict routers as a drain of their nodes does."""
    answers = []
    for pod in cluster.routers():
        name = pod["metadata"]["name"]
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": NAMESPACE},
        }
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
        answers.append(
            cluster.kubectl(
                "create", "--raw", path, "--filename", "-", text=json.dumps(eviction), check=False
            )
        )
    require([each.returncode == 0 for each in answers] == [True, False], "both were evicted")
    require("disruption budget" in answers[1].stderr, answers[1].stderr)
    cluster.await_rollout("deployment/router")
    say("one router was evicted, and the disruption budget refused the other")


def stop_one(cluster: Cluster) -> None:
    """Stop the process of the router that fills the channel, without ending it."""
    _share_processes(cluster, "router")
    cluster.start_workload(40)
    time.sleep(4)
    name = cluster.leader()

    def pod() -> Object:
        return _named(cluster.routers(), name)

    _send(cluster, name, "route", signal.SIGSTOP)
    unready = await_that("the router is unready", lambda: not _is_ready(pod()), 30)
    took = await_that("it is replaced", lambda: _restarts(pod()) == 1 and _is_ready(pod()), 60)
    say(f"a stopped router was unready after {unready:.1f} s, replaced {took:.1f} s later")
    say(summary(cluster.finish_workload()))


def scale_workers(cluster: Cluster, overlay: Path) -> None:
    """Have a worker handle events while its pods come and go, are killed and replaced."""
    put_into_overlay(overlay)
    cluster.deploy(overlay)
    cluster.await_applied()
    _share_processes(cluster, "billing")
    _await_shared(cluster, 1)
    require_newer_protocol(cluster.show(SUBSCRIPTION))
    cluster.start_workload(100, "--handled")
    begin = time.monotonic()

    def at(seconds: float) -> None:
        time.sleep(max(begin + seconds - time.monotonic(), 0))

    at(5)
    cluster.inside("scale", "deployment/billing", "--replicas=3")
    cluster.await_rollout("deployment/billing")
    took = _await_shared(cluster, 3)
    say(f"scaled to 3 pods, ready; they shared all partitions {took:.1f} s later")
    at(25)
    name = cluster.workers()[0]["metadata"]["name"]
    _send(cluster, name, "work", signal.SIGKILL)
    await_that("it runs again", lambda: _restarts(_named(cluster.workers(), name)) == 1, 30)
    took = _await_shared(cluster, 3)
    say(f"killed a worker, and it runs again; all partitions were shared {took:.1f} s later")
    at(45)
    pod = cluster.workers()[0]["metadata"]["name"]
    cluster.inside("delete", "pod", pod, "--force", "--grace-period=0")
    cluster.await_rollout("deployment/billing")
    say("forced a worker's pod out, and another one is ready")
    at(60)
    cluster.inside("rollout", "restart", "deployment/billing")
    cluster.await_rollout("deployment/billing")
    say(f"rolled three workers in {time.monotonic() - begin - 60:.1f} s")
    at(85)
    cluster.inside("scale", "deployment/billing", "--replicas=1")
    took = _await_shared(cluster, 1)
    say(f"scaled to 1, which had all partitions {took:.1f} s later")
    found = cluster.finish_workload()
    say(summary_of_handling(found))
    require_few_repeats(found, kills=2)


def _await_shared(cluster: Cluster, number: int) -> float:
    """Wait until so many workers share all partitions; return how long that took."""

    def is_shared() -> bool:
        members = cluster.members(SUBSCRIPTION)
        shared = sorted(partition for each in members for partition in each)
        is_even = all(members) and len(members) == number
        return is_even and shared == list(range(PARTITIONS))

    return await_that(f"{number} workers share the partitions", is_shared, 60)


def _claim(cluster: Cluster, kafka: Object) -> None:
    """Make Kafka's claim beforehand, if its volume has to be prepared."""
    if not (prepare := words("K8S_CLAIM", "")):
        return
    (template,) = kafka["spec"]["volumeClaimTemplates"]
    metadata = {"name": f"{template['metadata']['name']}-kafka-0", "namespace": NAMESPACE}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    cluster.apply([{**claim, "spec": template["spec"]}])

    def volume() -> str:
        (found,) = cluster.items("persistentvolumeclaims")
        return str(found["spec"].get("volumeName", ""))

    await_that("Kafka's volume is there", lambda: bool(volume()), 60)
    run(*prepare, volume())


def _running(cluster: Cluster) -> int:
    pods = (*cluster.routers(), *cluster.workers())
    return sum(pod["status"]["phase"] == "Running" for pod in pods)


def _share_processes(cluster: Cluster, deployment: str) -> None:
    """Have a container's process be another one than 1, which takes no signal from its own."""
    patch = {"spec": {"template": {"spec": {"shareProcessNamespace": True}}}}
    cluster.inside("patch", "deployment", deployment, "--patch", json.dumps(patch))
    cluster.await_rollout(f"deployment/{deployment}")


def _send(cluster: Cluster, pod: str, command: str, number: signal.Signals) -> None:
    """Send a signal to the process of a command in a pod that shares processes."""
    cluster.execute(pod, "python", "-c", _SIGNAL, command, str(number.value))


def _named(pods: list[Object], name: str) -> Object:
    (found,) = (pod for pod in pods if pod["metadata"]["name"] == name)
    return found


def _is_ready(pod: Object) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"]["conditions"]
    )


def _restarts(pod: Object) -> int:
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def _require_no_restarts(cluster: Cluster) -> None:
    restarts = cluster.restarts()
    require(not restarts, f"containers were restarted: {restarts}")


def main() -> None:
    """Try everything."""
    cluster = Cluster(NAMESPACE)
    present = cluster.kubectl("get", "namespace", NAMESPACE, check=False).returncode == 0
    require(not present, f"the namespace {NAMESPACE} is in use: delete it, or use another cluster")
    load_images()
    with tempfile.TemporaryDirectory() as directory:
        manifests = Path(shutil.copytree(ROOT / "k8s", Path(directory) / "k8s"))
        overlay = manifests / "overlays" / "dev"
        try:
            from_nothing(cluster, overlay)
            follow_the_page()
            deploy_again(cluster, overlay)
            deploy_an_image(cluster, overlay)
            under_load(cluster)
            evict_both(cluster)
            stop_one(cluster)
            scale_workers(cluster, overlay)
        finally:
            cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
            say(f"deleted the namespace {NAMESPACE}")
    if release := os.environ.get("STRIMZI"):
        judge_production(Path(release))
    else:
        say("STRIMZI is not set: the production overlay is not judged by Strimzi's resources")


if __name__ == "__main__":
    reason = why_not()
    sys.exit(finish(main) if reason is None else skip(reason))
