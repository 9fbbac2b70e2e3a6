"""Weight decay spares what a module declares, and of the built-in schemes exactly biases, gains, stitches and the like."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from manygate.architecture import Inputs, find_architecture
from manygate.config import ModelConfig
from manygate.config.names import ARCHITECTURES
from manygate.errors import InputError
from manygate.layers.decay import undecayed_parameters
from manygate.layers.tower import BiasTower, Towers
from manygate.model.ordinal import Thresholds
from manygate.model.trunk import Trunk

SPARED = {"bias", "biases", "gain", "stitch", "alpha", "beta", "native", "gap"}
SETTINGS = {
    "plain": {},
    "deep": {"expert_hidden": (6, 5), "bottom_hidden": (8, 8), "gate_bias": True, "levels": 2, "expert_norm": True},
    "own experts": {"task_experts": ((2, 1, 1),), "shared_experts": (1,)},
}


class Scaled(nn.Module):
    """A linear layer and a scale, of which it declares what a test gives."""

    def __init__(self, undecayed: object = ()):
        super().__init__()
        self.linear, self.gain = nn.Linear(2, 3), nn.Parameter(torch.ones(3))
        self.undecayed = undecayed


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_built_in_schemes_declare_biases_gains_and_what_mixes_networks(name: str, settings: dict[str, object]) -> None:
    config = ModelConfig.model_validate({"experts": 4, "expert_hidden": (6,), "bottom_hidden": (8,), **settings})
    scheme = find_architecture(name).build(Inputs(7), 3, config)
    tasks = 1 if scheme.one_model_per_task else 3
    towers = Towers(tasks, scheme.output_width, (5,), steps=[(1, 0)] if tasks > 1 else [])
    trunk = Trunk(scheme, towers, BiasTower(tasks, 2), thresholds=Thresholds([(0, 3)]))
    expected = {parameter for parameter, _ in trunk.named_parameters() if SPARED & set(parameter.split("."))}
    assert undecayed_parameters(trunk) == expected
    assert {"towers.bias", "thresholds.gap"} <= expected


@pytest.mark.parametrize(
    ("declared", "spared"),
    [((), set()), (("gain",), {"gain"}), (["linear"], {"linear.weight", "linear.bias"}), (("linear.bias",), {"linear.bias"})],
)
def test_a_module_s_declaration_counts_from_itself(declared: object, spared: set[str]) -> None:
    module = nn.ModuleDict({"inner": Scaled(declared)})
    assert undecayed_parameters(module) == {f"inner.{name}" for name in spared}


def test_a_parameter_with_two_names_is_spared_by_either() -> None:
    module = Scaled(("gain",))
    module.again = module.gain
    assert undecayed_parameters(module) == {"gain"}
    module.undecayed = ("again",)
    assert undecayed_parameters(module) == {"gain"}


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (("gian",), "Scaled.undecayed names 'gian', which is no parameter of it. It has: gain, linear.weight, linear.bias."),
        ("gain", "Scaled.undecayed: a tuple of names is needed, found 'gain'."),
        ((3,), "a tuple of names is needed, found (3,)"),
        (lambda: ("gain",), "a tuple of names is needed"),
    ],
)
def test_a_false_declaration_is_an_error(declared: object, problem: str) -> None:
    with pytest.raises(InputError, match=re.escape(problem)):
        undecayed_parameters(Scaled(declared))
