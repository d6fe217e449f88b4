"""What the tests take an overlay for is what kubectl makes of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.deployment.rendering import render
from tests.docs.pages import ROOT

OVERLAYS = sorted(path.parent for path in ROOT.glob("k8s/*/kustomization.yaml")) + sorted(
    path.parent for path in ROOT.glob("k8s/overlays/*/kustomization.yaml")
)


def kustomize(directory: Path) -> list[Any]:
    done = subprocess.run(
        ["kubectl", "kustomize", directory], capture_output=True, text=True, check=True
    )
    return list(YAML(typ="safe", pure=True).load_all(done.stdout))


def in_order(objects: list[Any]) -> list[str]:
    """Return objects as sorted texts, without the hashes of generated names."""
    names = [each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"]
    texts = []
    for each in objects:
        text = json.dumps(each, sort_keys=True)
        for name in names:
            text = text.replace(f'"{name}"', f'"{re.sub("-[a-z0-9]{10}$", "", name)}"')
        texts.append(text)
    return sorted(texts)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl to compare with")
@pytest.mark.parametrize("directory", OVERLAYS, ids=lambda path: path.name)
def test_overlays_are_rendered_as_kubectl_does_it(directory: Path) -> None:
    assert in_order(render(directory)) == in_order(kustomize(directory))


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("namePrefix: my-\n")
    with pytest.raises(AssertionError, match="namePrefix"):
        render(tmp_path)
