"""Definitions as they reach a pod: those of the example, as the kubelet mounts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_events.errors import DefinitionsError
from platform_events.files.loader import load_definitions
from tests.deployment.rendering import Object, find, render
from tests.docs.pages import ROOT

DEV = ROOT / "k8s" / "overlays" / "dev"
EXAMPLE = ROOT / "schemas"
_MOST_BYTES = 1024 * 1024
"""What a ConfigMap holds at most."""


def definition_files(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): path.read_text()
        for path in directory.rglob("*.yaml")
        if not any(part.startswith(".") for part in path.relative_to(directory).parts)
    }


def projected(objects: list[Object]) -> dict[str, str]:
    """Return the files of the volume that the Job mounts."""
    (volume,) = find(objects, "Job", "apply")["spec"]["template"]["spec"]["volumes"]
    files: dict[str, str] = {}
    for source in volume["projected"]["sources"]:
        data = find(objects, "ConfigMap", source["configMap"]["name"])["data"]
        paths = {item["key"]: item["path"] for item in source["configMap"].get("items", [])}
        files.update({paths.get(k, k): text for k, text in data.items() if not paths or k in paths})
    return files


def mount(files: dict[str, str], directory: Path) -> None:
    """Lay files out as the kubelet does: a generation, a link to it, a link to each entry there."""
    generation = directory / "..2026_01_31_12_00_00.1234567890"
    for name, text in files.items():
        path = generation / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (directory / "..data").symlink_to(generation.name)
    for entry in generation.iterdir():
        (directory / entry.name).symlink_to(Path("..data") / entry.name)


def test_the_dev_overlay_has_the_definitions_of_the_example() -> None:
    assert definition_files(DEV / "schemas") == definition_files(EXAMPLE)


def test_all_of_them_are_mounted() -> None:
    objects = render(DEV)
    assert projected(objects) == definition_files(EXAMPLE)
    for name in ("definitions", "channels"):
        data = find(objects, "ConfigMap", name)["data"]
        assert sum(len(text.encode()) for text in data.values()) < _MOST_BYTES


def test_what_the_kubelet_mounts_loads(tmp_path: Path) -> None:
    mount(projected(render(DEV)), tmp_path)
    assert (tmp_path / "channels").is_symlink()
    assert load_definitions(tmp_path) == load_definitions(EXAMPLE)


def test_a_mistake_in_it_is_found(tmp_path: Path) -> None:
    files = projected(render(DEV))
    files["Order_Placed__e.yaml"] = files["Order_Placed__e.yaml"].replace("double", "dobule")
    mount(files, tmp_path)
    with pytest.raises(DefinitionsError, match="dobule"):
        load_definitions(tmp_path)
