"""Whether all that the objects of an overlay refer to is there.

A server-side dry run does not tell: it judges one object at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.deployment.rendering import Object

_STRIMZI = "kafka.strimzi.io/"
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@dataclass(frozen=True)
class Pod:
    """The pods of one workload."""

    owner: str
    labels: dict[str, str]
    spec: Object
    claims: frozenset[str]
    """Volumes that a StatefulSet claims."""

    @property
    def port_names(self) -> set[str]:
        return {
            port["name"]
            for container in self.spec["containers"]
            for port in container.get("ports", [])
            if "name" in port
        }

    def is_selected(self, selector: dict[str, str]) -> bool:
        return selector.items() <= self.labels.items()


def name_of(each: Object) -> str:
    return f"{each['kind']} {each['metadata']['name']}"


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [each for each in objects if each["kind"] in kinds]


def pods(objects: list[Object]) -> list[Pod]:
    return [
        Pod(
            name_of(each),
            each["spec"]["template"]["metadata"]["labels"],
            each["spec"]["template"]["spec"],
            frozenset(c["metadata"]["name"] for c in each["spec"].get("volumeClaimTemplates", [])),
        )
        for each in of_kind(objects, "Deployment", "StatefulSet", "Job")
    ]


def find_problems(objects: list[Object]) -> list[str]:
    """Return what is wrong, one line each."""
    return [
        *_identities(objects),
        *_data(objects),
        *_accounts(objects),
        *_volumes(objects),
        *_selectors(objects),
        *_ports(objects),
        *_images(objects),
        *_operators(objects),
    ]


def _identities(objects: list[Object]) -> Iterator[str]:
    for name, count in Counter(map(name_of, objects)).items():
        if count > 1:
            yield f"{count} objects are {name}"
    declared = {each["metadata"]["name"] for each in of_kind(objects, "Namespace")}
    for each in objects:
        namespace = each["metadata"].get("namespace")
        if each["kind"] != "Namespace" and namespace not in declared:
            yield f"{name_of(each)}: there is no namespace {namespace}"


def _data(objects: list[Object]) -> Iterator[str]:
    """Check references to ConfigMaps and Secrets, and to their keys."""
    there = {
        "ConfigMap": {e["metadata"]["name"]: set(e["data"]) for e in of_kind(objects, "ConfigMap")},
        "Secret": _secrets(objects),
    }
    for pod in pods(objects):
        for kind, name, keys in _data_of(pod.spec):
            if name not in there[kind]:
                yield f"{pod.owner}: there is no {kind} {name}"
            elif missing := keys - there[kind][name]:
                yield f"{pod.owner}: {kind} {name} has no {', '.join(sorted(missing))}"


def _secrets(objects: list[Object]) -> dict[str, set[str]]:
    """Return the Secrets that there are or that Strimzi makes, with their keys."""
    found = {each["metadata"]["name"]: set(each["data"]) for each in of_kind(objects, "Secret")}
    for each in objects:
        name = each["metadata"]["name"]
        match each["apiVersion"].startswith(_STRIMZI) and each["kind"]:
            case "Kafka":
                found[f"{name}-cluster-ca-cert"] = {"ca.crt", "ca.p12", "ca.password"}
            case "KafkaUser":
                assert each["spec"]["authentication"]["type"] == "tls"
                found[name] = {"ca.crt", "user.crt", "user.key", "user.p12", "user.password"}
    return found


def _data_of(spec: Object) -> Iterator[tuple[str, str, set[str]]]:
    """Yield what a pod takes data from: kind, name and keys."""
    for container in spec["containers"]:
        sources = [(source, "Ref") for source in container.get("envFrom", [])]
        sources += [(each.get("valueFrom", {}), "KeyRef") for each in container.get("env", [])]
        for source, end in sources:
            for field, kind in ((f"configMap{end}", "ConfigMap"), (f"secret{end}", "Secret")):
                if reference := source.get(field):
                    yield kind, reference["name"], set(filter(None, [reference.get("key")]))
    for volume in spec.get("volumes", []):
        for source in (volume, *volume.get("projected", {}).get("sources", [])):
            for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
                if found := source.get(field):
                    name = found.get("secretName") or found["name"]
                    yield kind, name, {item["key"] for item in found.get("items", [])}


def _accounts(objects: list[Object]) -> Iterator[str]:
    there = {each["metadata"]["name"] for each in of_kind(objects, "ServiceAccount")}
    for pod in pods(objects):
        name = pod.spec.get("serviceAccountName", "default")
        if name not in {"default", *there}:
            yield f"{pod.owner}: there is no ServiceAccount {name}"


def _volumes(objects: list[Object]) -> Iterator[str]:
    for pod in pods(objects):
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | pod.claims
        mounted = {
            mount["name"]
            for container in pod.spec["containers"]
            for mount in container.get("volumeMounts", [])
        }
        for name in sorted(mounted - volumes):
            yield f"{pod.owner}: there is no volume {name}"
        for name in sorted(volumes - mounted):
            yield f"{pod.owner}: nothing mounts the volume {name}"


def _selectors(objects: list[Object]) -> Iterator[str]:
    every = pods(objects)
    for each in objects:
        for selector in _selectors_of(each):
            candidates = [pod for pod in every if pod.owner == name_of(each)] or every
            if not selector or not any(pod.is_selected(selector) for pod in candidates):
                yield f"{name_of(each)}: no pod has the labels {selector}"
    for pod in every:
        for constraint in pod.spec.get("topologySpreadConstraints", []):
            if not pod.is_selected(constraint["labelSelector"]["matchLabels"]):
                yield f"{pod.owner}: it spreads pods that are not its own"


def _selectors_of(each: Object) -> Iterator[dict[str, str]]:
    match each["kind"]:
        case "Service":
            yield each["spec"]["selector"]
        case "Deployment" | "StatefulSet" | "PodDisruptionBudget":
            yield each["spec"]["selector"]["matchLabels"]
        case "NetworkPolicy":
            yield each["spec"]["podSelector"]["matchLabels"]


def _ports(objects: list[Object]) -> Iterator[str]:
    every = pods(objects)
    for pod in every:
        for container in pod.spec["containers"]:
            for probe in filter(container.get, PROBES):
                action = container[probe].get("httpGet") or container[probe]["tcpSocket"]
                if action["port"] not in pod.port_names:
                    yield f"{pod.owner}: {probe} asks a port {action['port']}"
    for each in of_kind(objects, "Service", "NetworkPolicy"):
        for selector in _selectors_of(each):
            named = set().union(*(p.port_names for p in every if p.is_selected(selector)))
            for port in sorted(set(_port_names(each["spec"])) - named):
                yield f"{name_of(each)}: no pod has a port {port}"
    services = {each["metadata"]["name"] for each in of_kind(objects, "Service")}
    for each in of_kind(objects, "StatefulSet"):
        if each["spec"]["serviceName"] not in services:
            yield f"{name_of(each)}: there is no Service {each['spec']['serviceName']}"


def _port_names(spec: Object) -> Iterator[str]:
    numbers: list[Any] = [port["targetPort"] for port in spec.get("ports", [])]
    rules = [*spec.get("ingress", []), *spec.get("egress", [])]
    numbers += [port["port"] for rule in rules for port in rule.get("ports", [])]
    return (port for port in numbers if isinstance(port, str))


def _images(objects: list[Object]) -> Iterator[str]:
    for pod in pods(objects):
        for container in pod.spec["containers"]:
            _, _, tag = container["image"].rpartition("/")[2].partition(":")
            if tag in ("", "latest"):
                yield f"{pod.owner}: the image {container['image']} has no fixed tag"


def _operators(objects: list[Object]) -> Iterator[str]:
    clusters = {each["metadata"]["name"] for each in of_kind(objects, "Kafka")}
    for each in of_kind(objects, "KafkaNodePool", "KafkaUser"):
        cluster = each["metadata"].get("labels", {}).get("strimzi.io/cluster")
        if cluster not in clusters:
            yield f"{name_of(each)}: there is no Kafka {cluster}"
