"""Manifests are what Kubernetes' own schemas allow, and nothing that they do not know.

`make check` installs the schemas, which are large; without them this is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.deployment.rendering import Object, find, render
from tests.docs.pages import ROOT

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="make check installs it")

OVERLAYS = [path.parent for path in sorted(ROOT.glob("k8s/overlays/*/kustomization.yaml"))]
VERSIONS = ("1.31", kubernetes_validate.latest_version())
CORE = ("v1", "apps/", "batch/", "policy/", "networking.k8s.io/")
"""Beginnings of what Kubernetes itself defines; the server judges the rest by its operators'."""


def core_objects(overlay: Any) -> list[Object]:
    return [each for each in render(overlay) if each["apiVersion"].startswith(CORE)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_every_object_is_valid(overlay: Any, version: str) -> None:
    objects = core_objects(overlay)
    assert len(objects) > 6
    validate(objects, version)


def validate(objects: list[Object], version: str) -> None:
    for each in objects:
        kubernetes_validate.validate(each, version, strict=True)


def pod_of(kind: str, name: str, objects: list[Object]) -> Object:
    spec: Object = find(objects, kind, name)["spec"]["template"]["spec"]
    return spec


MISTAKES: dict[str, Callable[[list[Object]], Any]] = {
    "a misspelt field": lambda o: pod_of("Deployment", "router", o)["containers"][0][
        "securityContext"
    ].update(readOnlyRootFileSystem=True),
    "a field at the wrong place": lambda o: pod_of("Job", "apply", o).update(backoffLimit=3),
    "a text for a number": lambda o: find(o, "Deployment", "router")["spec"].update(replicas="2"),
    "a number for a text": lambda o: find(o, "ConfigMap", "settings")["data"].update(A=1),
    "a field that is missing": lambda o: find(o, "Deployment", "router")["spec"].pop("selector"),
    "a misspelt probe": lambda o: pod_of("Deployment", "router", o)["containers"][0].update(
        livenesProbe={}
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str) -> None:
    (overlay,) = (path for path in OVERLAYS if path.name == "dev")
    objects = core_objects(overlay)
    MISTAKES[mistake](objects)
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(objects, VERSIONS[-1])
