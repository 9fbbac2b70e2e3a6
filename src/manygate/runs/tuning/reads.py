"""Finds the settings that an architecture reads, so that no search varies one that changes nothing."""

from __future__ import annotations

import inspect
from types import FunctionType, MethodType
from typing import Any, cast

import torch

from manygate.config import ModelConfig, RunConfig
from manygate.model import MultiTaskModel
from manygate.model.budget import scheme_errors
from manygate.model.problem import Problem

NOT_BUILT = ("bias_dropout", "id_dropout", "funnel", "dim", "gate_features", "architecture")
"""Settings that the training or the problem reads, and not the network's constructor; and those that no search varies."""
COPIES = ("replace", "with_defaults", "model_copy", "model_dump")
"""Methods that read every setting without using it."""
NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "top_k": ("gate", ("topk", "dselect_k")),
    "load_weight": ("gate", ("topk",)),
    "entropy_weight": ("gate", ("dselect_k",)),
    "gradnorm_alpha": ("weighting", ("gradnorm",)),
    "cagrad_c": ("weighting", ("cagrad",)),
    "calibrator_weight": ("funnel", ("aitm",)),
    "escm2_weight": ("funnel", ("escm2_ipw", "escm2_dr")),
    "escm2_joint_weight": ("funnel", ("escm2_ipw", "escm2_dr")),
    "propensity_floor": ("funnel", ("escm2_ipw", "escm2_dr")),
}
"""Settings that have an effect only with some values of another."""


class Recorder:
    """Stands for a configuration, and notes the settings that are read.

    >>> recorder = Recorder(RunConfig(levels=3))
    >>> recorder.hidden_of_levels(), sorted(recorder.read)
    (((64,), (64,), (64,)), ['expert_hidden', 'level_hidden', 'levels'])
    """

    def __init__(self, config: RunConfig):
        self.config, self.read = config, set[str]()

    def __getattr__(self, name: str) -> Any:
        if name in RunConfig.model_fields:
            self.read.add(name)
            return getattr(self.config, name)
        attribute = inspect.getattr_static(self.config, name)
        if isinstance(attribute, property) and attribute.fget is not None:
            return attribute.fget(self)
        if isinstance(attribute, FunctionType) and name not in COPIES:
            return MethodType(attribute, self)
        return getattr(self.config, name)


def settings_read(problem: Problem, config: RunConfig) -> frozenset[str]:
    """Return the settings of the network that an architecture reads. Raises :class:`InputError` if it cannot be built.

    It is built without memory for its weights, and what its constructor reads is noted. So the answer holds for a class of your
    own. Settings of features that the log does not have are not read: without a bias feature, ``bias_dropout`` changes nothing.
    """
    recorder = Recorder(config.replace(replicas=1))
    with torch.device("meta"), scheme_errors(config.architecture):
        MultiTaskModel(problem, cast(RunConfig, recorder), "meta", False)
    read = recorder.read & set(ModelConfig.model_fields) - set(NOT_BUILT)
    inputs = problem.inputs
    there = {
        "dim": any(feature.dim == config.dim for feature in inputs),
        "bias_dropout": any(feature.bias for feature in inputs),
        "id_dropout": any(feature.can_be_unseen and feature.id_dropout is None for feature in inputs),
        "funnel": any(task.after for task in problem.tasks),
    }
    return frozenset(read | {name for name, exists in there.items() if exists})
