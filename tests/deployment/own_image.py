"""Definitions in an image of their own, as docs/deployment.md has it."""

from __future__ import annotations

import shutil
from pathlib import Path

from ruamel.yaml import YAML

from tests.deployment.commands import build
from tests.docs.pages import page

DEFINITIONS = "platform-events-test:definitions"
_PAGE = "docs/deployment.md"


def build_definitions(directory: Path) -> None:
    """Build the image of the definitions in a directory's `schemas/`."""
    (directory / "Dockerfile").write_text(_shown("Dockerfile"))
    build(DEFINITIONS, directory)


def copy_overlay(overlay: Path, copy: Path) -> None:
    """Copy an overlay with its definitions in ConfigMaps, so that the image has them instead."""
    shutil.copytree(overlay, copy)
    settings = YAML(typ="safe", pure=True).load(_shown("kustomization.yaml"))
    (image,) = settings["images"]
    image["newName"], image["newTag"] = DEFINITIONS.split(":")
    with (copy / "kustomization.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(settings, file)


def _shown(title: str) -> str:
    (text,) = (block.text for block in page(_PAGE).blocks if block.title == title)
    return text
