"""Tells hatchling the version, the dependencies and the files of manygate-serving."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

sys.path.insert(0, str(Path(__file__).parent))
from serving_closure import SOURCE, closure, dependencies, project


class Metadata(MetadataHookInterface):
    """Takes the version and the bounds of dependencies from manygate."""

    def update(self, metadata: dict[str, Any]) -> None:
        metadata["version"] = project()["version"]
        metadata["dependencies"] = dependencies()


class Files(BuildHookInterface):
    """Takes the files that the server and its command import."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_data["force_include"] |= {str(SOURCE / path): str(path) for path in closure().files}
