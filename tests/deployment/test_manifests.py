"""Overlays whose references lead nowhere, or that the program does not take, fail here."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tests.deployment import programs, references
from tests.deployment.image import environment
from tests.deployment.modules import load_from
from tests.deployment.own_image import DEFINITIONS, copy_overlay
from tests.deployment.references import of_kind, pods
from tests.deployment.rendering import Object, containers, find, render
from tests.docs.pages import ROOT

DEV = ROOT / "k8s" / "overlays" / "dev"
PRODUCTION = ROOT / "k8s" / "overlays" / "production"
OVERLAYS = (DEV, PRODUCTION)
IMAGE = environment()
each_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)


def test_the_development_cluster_takes_definitions_in_an_image(tmp_path: Path) -> None:
    copytree(ROOT / "k8s", tmp_path / "k8s")
    copy = tmp_path / "k8s" / "overlays" / "own-image"
    copy_overlay(DEV, copy)
    objects = render(copy)
    assert references.find_problems(objects) == []
    (apply,) = (c for c in containers(objects) if c["name"] == "apply")
    assert (apply["image"], apply["args"][:2]) == (DEFINITIONS, ["apply", "/schemas"])
    assert "volumeMounts" not in apply


@cache
def rendered(overlay: Path) -> list[Object]:
    return render(overlay)


def objects_of(overlay: Path) -> list[Object]:
    """Return the objects of an overlay, to look at and to change."""
    return deepcopy(rendered(overlay))


def test_there_is_no_other_overlay() -> None:
    assert sorted(path for path in (ROOT / "k8s/overlays").iterdir()) == sorted(OVERLAYS)


@each_overlay
def test_every_reference_resolves(overlay: Path) -> None:
    assert references.find_problems(objects_of(overlay)) == []


@each_overlay
def test_the_program_takes_arguments_and_environment(overlay: Path) -> None:
    processes = programs.in_pods(objects_of(overlay), IMAGE)
    assert sorted(process.arguments[0] for process in processes) == ["apply", "route", "work"]
    assert [problem for each in processes for problem in programs.find_problems(each)] == []


@each_overlay
def test_all_processes_are_of_one_tenant_and_cluster(overlay: Path) -> None:
    found = [programs.load_settings(each) for each in programs.in_pods(objects_of(overlay), IMAGE)]
    assert len({(settings.tenant, settings.bootstrap_servers) for settings in found}) == 1


@each_overlay
def test_kafka_is_where_the_settings_say_and_may_be_asked(overlay: Path) -> None:
    objects = objects_of(overlay)
    (process, *_) = programs.in_pods(objects, IMAGE)
    host, _, port = programs.load_settings(process).bootstrap_servers.rpartition(":")
    assert (host, int(port)) in brokers(objects)
    policy = find(objects, "NetworkPolicy", "platform-events")
    allowed = [entry["port"] for rule in policy["spec"]["egress"] for entry in rule["ports"]]
    assert int(port) in allowed


def brokers(objects: list[Object]) -> set[tuple[str, int]]:
    """Return where an overlay's Kafka is, by the names of its Services."""
    found = {
        (each["metadata"]["name"], port["port"])
        for each in of_kind(objects, "Service")
        for port in each["spec"]["ports"]
    }
    for each in of_kind(objects, "Kafka"):
        name = f"{each['metadata']['name']}-kafka-bootstrap"
        found |= {(name, listener["port"]) for listener in each["spec"]["kafka"]["listeners"]}
    return found


@each_overlay
@pytest.mark.parametrize("owner", ["Deployment router", "Deployment billing"])
def test_probes_ask_the_port_that_the_image_sets(overlay: Path, owner: str) -> None:
    (found,) = (pod for pod in pods(objects_of(overlay)) if pod.owner == owner)
    (container,) = found.spec["containers"]
    (port,) = container["ports"]
    assert port == {"name": "health", "containerPort": int(IMAGE["PLATFORM_EVENTS_HEALTH_PORT"])}
    paths = {probe: container[probe]["httpGet"]["path"] for probe in references.PROBES}
    assert paths == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }


@each_overlay
def test_pods_keep_the_standard_restricted(overlay: Path) -> None:
    objects = objects_of(overlay)
    for pod in pods(objects):
        security = pod.spec["securityContext"]
        assert security["runAsNonRoot"]
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False
    for container in containers(objects):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        if programs.is_ours(container["image"]):
            assert security["readOnlyRootFilesystem"] is True
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}


def test_the_module_of_a_worker_is_mounted_where_it_runs(tmp_path: Path) -> None:
    objects = objects_of(DEV)
    (container,) = worker(objects)["containers"]
    (mount,), (volume,) = container["volumeMounts"], worker(objects)["volumes"]
    assert (mount["mountPath"], mount["name"]) == (container["workingDir"], volume["name"])
    data = find(objects, "ConfigMap", volume["configMap"]["name"])["data"]
    example = ROOT / "examples" / "billing" / "billing.py"
    assert data == {example.name: example.read_text()}
    (tmp_path / example.name).write_text(data[example.name])
    assert load_from(tmp_path, container["args"][1]) == "billing"


def test_only_an_operator_confirms_for_production() -> None:
    (apply,) = (c for c in containers(objects_of(PRODUCTION)) if c["name"] == "apply")
    assert "--yes" not in apply["args"]


def deployment(objects: list[Object]) -> Object:
    return find(objects, "Deployment", "router")["spec"]["template"]["spec"]


def job(objects: list[Object]) -> Object:
    return find(objects, "Job", "apply")["spec"]["template"]["spec"]


def worker(objects: list[Object]) -> Object:
    return find(objects, "Deployment", "billing")["spec"]["template"]["spec"]


def settings_of(objects: list[Object]) -> dict[str, str]:
    data: dict[str, str] = find(objects, "ConfigMap", "settings")["data"]
    return data


BROKEN_REFERENCES: dict[str, tuple[Callable[[list[Object]], Any], str]] = {
    "a misspelt ConfigMap": (
        lambda o: deployment(o)["containers"][0]["envFrom"][0]["configMapRef"].update(name="x"),
        "there is no ConfigMap x",
    ),
    "a ConfigMap in a projected volume": (
        lambda o: job(o)["volumes"][0]["projected"]["sources"][1]["configMap"].update(name="x"),
        "there is no ConfigMap x",
    ),
    "a key of a ConfigMap": (
        lambda o: find(o, "ConfigMap", "channels")["data"].clear(),
        "ConfigMap channels has no Large_Orders__chn.yaml",
    ),
    "a Secret": (
        lambda o: deployment(o).update(volumes=[{"name": "x", "secret": {"secretName": "y"}}]),
        "there is no Secret y",
    ),
    "an account": (
        lambda o: deployment(o).update(serviceAccountName="x"),
        "there is no ServiceAccount x",
    ),
    "a mount without a volume": (
        lambda o: job(o).update(volumes=[]),
        "there is no volume schemas",
    ),
    "a volume without a mount": (
        lambda o: job(o)["containers"][0].update(volumeMounts=[]),
        "nothing mounts the volume schemas",
    ),
    "a selector of its own pods": (
        lambda o: find(o, "Deployment", "router")["spec"]["template"]["metadata"]["labels"].update(
            {"app.kubernetes.io/component": "x"}
        ),
        "Deployment router: no pod",
    ),
    "a disruption budget of nothing": (
        lambda o: find(o, "PodDisruptionBudget", "router")["spec"]["selector"][
            "matchLabels"
        ].update({"app.kubernetes.io/component": "x"}),
        "PodDisruptionBudget router: no pod",
    ),
    "a Service of nothing": (
        lambda o: find(o, "Service", "kafka")["spec"]["selector"].update(x="y"),
        "Service kafka: no pod",
    ),
    "a port of a Service": (
        lambda o: find(o, "Service", "kafka")["spec"]["ports"][0].update(targetPort="x"),
        "Service kafka: no pod has a port x",
    ),
    "a port of a probe": (
        lambda o: deployment(o)["containers"][0]["livenessProbe"]["httpGet"].update(port="x"),
        "livenessProbe asks a port x",
    ),
    "the Service of a StatefulSet": (
        lambda o: find(o, "StatefulSet", "kafka")["spec"].update(serviceName="x"),
        "there is no Service x",
    ),
    "an image without a tag": (
        lambda o: deployment(o)["containers"][0].update(image="platform-events"),
        "has no fixed tag",
    ),
    "a namespace": (
        lambda o: find(o, "Job", "apply")["metadata"].update(namespace="x"),
        "there is no namespace x",
    ),
    "two objects of one name": (
        lambda o: o.append(find(o, "Service", "kafka")),
        "2 objects are Service kafka",
    ),
}
WRONG_PROGRAMS: dict[str, tuple[Callable[[list[Object]], Any], str]] = {
    "a misspelt setting": (
        lambda o: settings_of(o).update(PLATFORM_EVENTS_TENNANT="shop"),
        "PLATFORM_EVENTS_TENNANT is no setting",
    ),
    "a value that is refused": (
        lambda o: settings_of(o).update(PLATFORM_EVENTS_TENANT="Shop"),
        "tenant",
    ),
    "a property that is refused": (
        lambda o: settings_of(o).update(PLATFORM_EVENTS_KAFKA__ACKS="1"),
        "acks",
    ),
    "a file that nothing mounts": (
        lambda o: settings_of(o).update(PLATFORM_EVENTS_KAFKA__SSL_CA_LOCATION="/etc/x/ca.crt"),
        "nothing is mounted where /etc/x/ca.crt",
    ),
    "a command": (
        lambda o: deployment(o)["containers"][0].update(args=["rout"]),
        "there is no command rout",
    ),
    "an option": (
        lambda o: job(o)["containers"][0]["args"].append("--yess"),
        "--yess",
    ),
    "a short grace period": (
        lambda o: deployment(o).update(terminationGracePeriodSeconds=10),
        "killed after 10 s",
    ),
    "a worker with as long as the cluster gives it": (
        lambda o: worker(o)["containers"][0].update(args=["work", "billing:app"]),
        "killed after 30 s, and may take 30 s to stop",
    ),
}


@pytest.mark.parametrize("name", BROKEN_REFERENCES)
def test_a_broken_reference_is_found(name: str) -> None:
    break_it, message = BROKEN_REFERENCES[name]
    objects = objects_of(DEV)
    break_it(objects)
    assert any(message in problem for problem in references.find_problems(objects))


@pytest.mark.parametrize("name", WRONG_PROGRAMS)
def test_a_wrong_program_is_found(name: str) -> None:
    break_it, message = WRONG_PROGRAMS[name]
    objects = objects_of(DEV)
    break_it(objects)
    processes = programs.in_pods(objects, IMAGE)
    found = [problem for each in processes for problem in programs.find_problems(each)]
    assert any(message in problem for problem in found), found


def test_a_cluster_that_no_operator_runs_is_found() -> None:
    objects = objects_of(PRODUCTION)
    find(objects, "KafkaUser", "platform-events-router")["metadata"]["labels"].clear()
    assert references.find_problems(objects) == [
        "KafkaUser platform-events-router: there is no Kafka None"
    ]
    objects = objects_of(PRODUCTION)
    objects.remove(find(objects, "KafkaUser", "platform-events-router"))
    assert references.find_problems(objects) == [
        "Deployment router: there is no Secret platform-events-router"
    ]
