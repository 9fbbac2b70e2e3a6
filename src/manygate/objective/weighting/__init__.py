"""Per-task losses to one objective, one method per file. ``config/names.py`` has the table of their names."""

import torch

from manygate.config import TrainConfig
from manygate.config.names import WEIGHTING, find_class
from manygate.errors import InputError
from manygate.objective.weighting.base import Given, Seen, Weighting
from manygate.objective.weighting.shared import shared_gramian


def find_weighting(name: str) -> type[Weighting]:
    """The class of a weighting's name; see :func:`manygate.config.names.find_class` for a user's own."""
    return find_class(WEIGHTING, name, Weighting)  # type: ignore[type-abstract]


def check_weighting(name: str, tasks: int, config: TrainConfig) -> None:
    """Raise an :class:`InputError` if the weighting of a name cannot be used here: what it is made of is not installed."""
    none = torch.zeros(1, tasks)
    try:
        build_weighting(Given(none, none, none > 0, [()], config.model_copy(update={"weighting": name})))
    except InputError as error:
        raise InputError(f"weighting {name!r}: {problem}" for problem in error.marked) from None


def build_weighting(given: Given) -> Weighting:
    """The run's weighting; a model of one task has no other to be weighed against, and every weighting is ``fixed`` there."""
    name = given.config.weighting if given.weight_MT.shape[1] > 1 else "fixed"
    return find_weighting(name)(given)


__all__ = ["Given", "Seen", "Weighting", "build_weighting", "check_weighting", "find_weighting", "shared_gramian"]
