"""Kustomizations as the objects that they stand for, without kubectl.

Just what k8s/ uses is known; anything else is an error. Names of generated ConfigMaps get no hash.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

Object = dict[str, Any]
_KEYS = {
    "apiVersion", "kind", "namespace", "resources", "images", "configMapGenerator", "patches",
}  # fmt: skip
_GENERATOR_KEYS = {"name", "behavior", "files", "envs"}
_OUTSIDE_NAMESPACES = {"Namespace"}
_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
"""By which items of a list are the same one in a patch; other lists are replaced."""


def read_documents(path: Path) -> list[Any]:
    """Return the documents of a YAML file."""
    with path.open(encoding="utf-8") as stream:
        return list(YAML(typ="safe", pure=True).load_all(stream))


def render(directory: Path) -> list[Object]:
    """Return the objects of a kustomization."""
    (settings,) = read_documents(directory / "kustomization.yaml")
    _refuse_unknown(settings, _KEYS, directory)
    objects: list[Object] = []
    for resource in settings.get("resources", []):
        path = directory / resource
        objects += render(path) if path.is_dir() else read_documents(path)
    for generator in settings.get("configMapGenerator", []):
        _refuse_unknown(generator, _GENERATOR_KEYS, directory)
        _generate(objects, generator, directory)
    for patch in settings.get("patches", []):
        _refuse_unknown(patch, {"path"}, directory)
        (document,) = read_documents(directory / patch["path"])
        _merge(find(objects, document["kind"], document["metadata"]["name"]), document)
    for image in settings.get("images", []):
        _refuse_unknown(image, {"name", "newName", "newTag"}, directory)
        for container in containers(objects):
            if container["image"] == image["name"]:
                name = image.get("newName", image["name"])
                container["image"] = f"{name}:{image['newTag']}"
    if namespace := settings.get("namespace"):
        for each in objects:
            if each["kind"] not in _OUTSIDE_NAMESPACES:
                each["metadata"]["namespace"] = namespace
    return objects


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Return the one object of a kind and name."""
    found = [e for e in objects if e["kind"] == kind and e["metadata"]["name"] == name]
    assert len(found) == 1, f"{len(found)} objects are {kind} {name}"
    return found[0]


def containers(objects: list[Object]) -> list[Object]:
    """Return the containers of all workloads."""
    return [
        container
        for each in objects
        if (template := each.get("spec", {}).get("template")) and "spec" in template
        for container in template["spec"].get("containers", [])
    ]


def _generate(objects: list[Object], generator: Object, directory: Path) -> None:
    data = {Path(name).name: (directory / name).read_text() for name in generator.get("files", [])}
    for name in generator.get("envs", []):
        lines = [line.strip() for line in (directory / name).read_text().splitlines()]
        data.update(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    if generator.get("behavior") == "merge":
        find(objects, "ConfigMap", generator["name"])["data"].update(data)
        return
    objects.append(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generator["name"]},
            "data": data,
        }
    )


def _merge(target: Object, patch: Object) -> None:
    """Apply a strategic merge patch."""
    for name, value in patch.items():
        present = target.get(name)
        if isinstance(value, dict) and isinstance(present, dict):
            _merge(present, value)
        elif isinstance(value, list) and isinstance(present, list) and name in _MERGE_KEYS:
            _merge_lists(present, value, _MERGE_KEYS[name])
        else:
            target[name] = deepcopy(value)


def _merge_lists(target: list[Object], patch: list[Object], key: str) -> None:
    items = {item[key]: item for item in target}
    added = [deepcopy(item) for item in patch if item[key] not in items]
    for item in patch:
        if item[key] in items:
            _merge(items[item[key]], item)
    # As kustomize does it: what a patch adds comes first.
    target[:0] = added


def _refuse_unknown(document: Object, known: set[str], directory: Path) -> None:
    unknown = set(document) - known
    assert not unknown, f"{directory}: {sorted(unknown)} cannot be rendered here"
