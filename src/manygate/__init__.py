"""Manygate trains, compares, explains and serves multi-task ranking models. Start with ``mg.compare`` or ``mg.Ranker``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from manygate import datasets
    from manygate.architecture import Architecture, Inputs
    from manygate.config import RunConfig
    from manygate.data.inference.infer import infer_schema
    from manygate.errors import InputError
    from manygate.metrics import Metric
    from manygate.ranker import Comparison, Inspection, Ranker, Tuning, compare, inspect, tune
    from manygate.schema import Feature, Schema, Task

__all__ = [
    "Architecture",
    "Comparison",
    "Feature",
    "InputError",
    "Inputs",
    "Inspection",
    "Metric",
    "Ranker",
    "RunConfig",
    "Schema",
    "Task",
    "Tuning",
    "compare",
    "datasets",
    "infer_schema",
    "inspect",
    "tune",
]

_HOMES = {
    "Architecture": "manygate.architecture",
    "Inputs": "manygate.architecture",
    "Comparison": "manygate.ranker",
    "Feature": "manygate.schema",
    "InputError": "manygate.errors",
    "Metric": "manygate.metrics",
    "Ranker": "manygate.ranker",
    "RunConfig": "manygate.config",
    "Schema": "manygate.schema",
    "Task": "manygate.schema",
    "compare": "manygate.ranker",
    "Inspection": "manygate.ranker",
    "infer_schema": "manygate.data.inference.infer",
    "inspect": "manygate.ranker",
    "Tuning": "manygate.ranker",
    "tune": "manygate.ranker",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import manygate`` loads neither torch nor pyarrow."""
    if name == "__version__":
        return import_module("manygate.serving.distribution").distribution_version()
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        if name == "Schema":
            value.infer = import_module(_HOMES["infer_schema"]).infer_schema  # the schema itself imports nothing that reads data
        return value
    if name == "datasets":
        return import_module("manygate.datasets")
    raise AttributeError(f"module 'manygate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
