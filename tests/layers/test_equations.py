"""The stacked products of MMoE, OMoE, CGC, PLE and their towers equal the papers' equations, one expert and gate at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from manygate.architecture import CGC, PLE, Architecture, Level, MMoE, OMoE
from manygate.layers.equations import expert_layers, gate, gate_matrices, mixture, perceptron, tower, tower_layers
from manygate.layers.mixture import Mixture
from manygate.layers.tower import Towers
from numpy_reading import rows, shaken

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
LEVEL = Level((2, 1, 1), 2, (6, 4))
PLES = {
    "one level": [LEVEL],
    "two levels": [LEVEL, Level((1, 1, 1), 1, (3,))],
    "three, none shared at the last": [LEVEL, Level((1, 2, 1), 1, (3,)), Level((2, 1, 1), 0, (5, 2))],
    "own widths": [Level((2, 1, 1), 1, (4,), ((7, 4), (4,), (4,))), Level((1, 1, 1), 1, (3,))],
}


def equations(level: Mixture, inputs: list[Tensor], groups: list[int]) -> list[Tensor]:
    """Each gate's mixture, where group s of experts, and gate s, read ``inputs[s]``."""
    reads = [inputs[s] for s, experts in enumerate(groups) for _ in range(experts)]
    f = [perceptron(x, layers) for x, layers in zip(reads, expert_layers(level), strict=True)]
    weights = gate_matrices(level)
    found = []
    for g, (seen, weight) in enumerate(zip(level.gates.sees, weights, strict=True)):
        x = inputs[g]
        share = gate(x, weight) if len(seen) > 1 else torch.ones(len(x), 1, dtype=x.dtype)
        found.append(mixture(share, [f[e] for e in seen]))
    return found


def ple(model: PLE, levels: list[Level], x_BD: Tensor) -> Tensor:
    units = [x_BD] * (len(levels[0].task_experts) + 1)
    for mixed, level in zip(model.levels, levels, strict=True):
        units = equations(mixed, units, [*level.task_experts, level.shared_experts])
    return torch.stack(units, dim=1)


def equal_with_gradients(model: Architecture, found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, **CLOSE)
    names = [name for name, _ in model.named_parameters()]
    weight = torch.linspace(-1, 2, found.numel(), dtype=found.dtype).view(found.shape)
    both = [torch.autograd.grad((value * weight).sum(), list(model.parameters())) for value in (found, expected)]
    for name, a, b in zip(names, *both, strict=True):
        torch.testing.assert_close(a, b, **CLOSE, msg=name)


@pytest.mark.parametrize("hidden", [(6,), (6, 4)], ids=["one layer", "two layers"])
@pytest.mark.parametrize("scheme", [MMoE, OMoE])
def test_mmoe_and_omoe_are_equations_5_to_8(scheme, hidden) -> None:
    model, x_BD = shaken(scheme(5, 3, 4, hidden)), rows(7, 5)
    gates = 3 if scheme is MMoE else 1
    expected = torch.stack(equations(model.level, [x_BD] * gates, [4] + [0] * (gates - 1)), dim=1)
    equal_with_gradients(model, model(x_BD), expected)


def test_cgc_is_its_equations() -> None:
    model, x_BD = shaken(CGC(5, LEVEL)), rows(7, 5)
    equal_with_gradients(model, model(x_BD), ple(model.ple, [LEVEL], x_BD))


@pytest.mark.parametrize("levels", PLES.values(), ids=PLES)
def test_ple_is_its_equations(levels) -> None:
    model, x_BD = shaken(PLE(5, levels)), rows(7, 5)
    equal_with_gradients(model, model(x_BD), ple(model, levels, x_BD))


@pytest.mark.parametrize("hidden", [(), (3,), (4, 3)])
def test_towers_are_equation_6(hidden) -> None:
    towers, h_BTH = shaken(Towers(2, 6, hidden)), rows(12, 6).view(6, 2, 6)
    expected = torch.stack([tower(h_BTH[:, t], *tower_layers(towers, t)) for t in range(2)], dim=1)
    torch.testing.assert_close(towers(h_BTH), expected, **CLOSE)
