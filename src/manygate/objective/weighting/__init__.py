"""Weightings combine the tasks' losses into one objective. Each file holds one method. ``config/names.py`` lists their names."""

from typing import Any

import torch

from manygate.config import TrainConfig
from manygate.config.names import WEIGHTING, find_class
from manygate.errors import InputError
from manygate.objective.weighting.base import StepContext, Weighting, WeightingSetup
from manygate.objective.weighting.shared import SharedGradients, gradients_at, gramian_of, inner_product, shared_gramian


def find_weighting(name: str) -> type[Weighting]:
    """Return the class of a weighting by name. :func:`manygate.config.names.find_class` describes the names of user classes."""
    return find_class(WEIGHTING, name, Weighting)  # type: ignore[type-abstract]


def check_weighting(name: str, tasks: int, config: TrainConfig) -> None:
    """Raise an :class:`InputError` if the named weighting needs a package that is not installed."""
    zero_MT = torch.zeros(1, tasks)
    try:
        build_weighting(WeightingSetup(zero_MT, zero_MT, zero_MT > 0, [()], config.model_copy(update={"weighting": name})))
    except InputError as error:
        named = f"weighting {name!r}: "
        raise InputError(problem if problem.startswith(named) else named + problem for problem in error.marked) from None


def build_weighting(setup: WeightingSetup) -> Weighting:
    """Return the weighting of a run. A model of one task has no tasks to balance, so it always gets ``fixed``."""
    name = setup.config.weighting if setup.weight_MT.shape[1] > 1 else "fixed"
    return find_weighting(name)(setup)


_RENAMED = {"Given": "WeightingSetup", "Seen": "StepContext"}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        raise ImportError(f"{__name__}.{name} is now called {_RENAMED[name]}. Import {_RENAMED[name]} instead.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "SharedGradients",
    "StepContext",
    "Weighting",
    "WeightingSetup",
    "build_weighting",
    "check_weighting",
    "find_weighting",
    "gradients_at",
    "gramian_of",
    "inner_product",
    "shared_gramian",
]
